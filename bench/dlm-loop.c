/* The bare loop that a lock through the library is measured against: open(2) and close(2) of one dlmfs file, for some seconds.
 *   dlm-loop PATH SECONDS        prints how many a second */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	double seconds = atof(argv[2]), began = now(), elapsed = 0;
	long count = 0;
	while (elapsed < seconds) {
		for (int i = 0; i < 64; i++) {
			int file = open(argv[1], O_RDWR | O_CREAT, 0664);
			if (file < 0) {
				perror(argv[1]);
				return 1;
			}
			close(file);
		}
		count += 64;
		elapsed = now() - began;
	}
	printf("%.0f\n", count / elapsed);
	return 0;
}
