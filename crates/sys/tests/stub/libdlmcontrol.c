/*
 * A stand-in for libdlmcontrol in tests: the functions that are used, with the declarations of libdlmcontrol.h. What dlm_controld says of a lockspace
 * is in its name; a file system's connection is one end of a pair of sockets, the other is kept here.
 *
 * Facts relied on: those that crates/sys/src/dlm_control.rs and its files state. It models no daemon that waits.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct change {
	int members, joined, removed, failed, condition, messages;
	uint32_t sequence, combined;
};

struct lockspace {
	struct change previous, next;
	uint32_t flags, id;
	char name[65];
};

struct node {
	int id;
	uint32_t flags, added, removed;
	int reason;
	uint64_t wall, monotonic;
};

struct answer {
	char name[64];
	int kind, node, result;
};

static int other_end[65536];

static int named(const char *name, const char *start)
{
	return strncmp(name, start, strlen(start)) == 0;
}

int dlmc_lockspace_info(char *name, struct lockspace *space)
{
	if (named(name, "unknown"))
		return -ENOENT;
	if (named(name, "denied"))
		return -EACCES;
	if (named(name, "not-running"))
		return errno = ECONNREFUSED, -1;
	if (named(name, "ends"))
		return -1;
	memset(space, 0, sizeof *space);
	space->flags = 0x02 | 0x08;
	if (named(name, "joining"))
		space->flags = 0x01 | 0x04 | 0x30;
	if (named(name, "waits"))
		space->next.condition = name[5] - '0';
	space->next.messages = named(name, "messages");
	if (space->next.messages)
		space->next.condition = 2;
	return 0;
}

int dlmc_lockspace_nodes(char *name, int kind, int most, int *count, struct node *nodes)
{
	if (kind != 1 || most != 128)
		abort();
	if (named(name, "vanishes"))
		return -ENOENT;
	*count = named(name, "too-many") ? 129 : named(name, "negative") ? -7 : 3;
	for (int at = 0; at < *count; at++)
		nodes[at] = (struct node){ .id = at + 1, .flags = at == 1 ? 0x08 : 0x01 };
	if (*count == 3)
		nodes[2].id = -2;
	return 0;
}

int dlmc_fs_connect(void)
{
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0)
		return -1;
	/* like dlm_controld's, which is another process's: no child of this one has it; the library's own end it leaves as it is */
	fcntl(pair[1], F_SETFD, FD_CLOEXEC);
	other_end[pair[0]] = pair[1];
	return pair[0];
}

void dlmc_fs_disconnect(int fd)
{
	if (other_end[fd] <= 0)
		abort();
	close(other_end[fd]);
	other_end[fd] = 0;
	close(fd);
}

static int answer(int fd, const char *name, int kind, int node, int result)
{
	struct answer one = { .kind = kind, .node = node, .result = result };
	if (other_end[fd] <= 0)
		abort();
	if (named(name, "broken"))
		return errno = EPIPE, -1;
	if (named(name, "ends"))
		return shutdown(other_end[fd], SHUT_RDWR);
	if (named(name, "silent"))
		return 0;
	memcpy(one.name, name, strlen(name));
	return write(other_end[fd], &one, sizeof one) == sizeof one ? 0 : -1;
}

int dlmc_fs_register(int fd, char *name)
{
	return answer(fd, name, named(name, "odd-kind") ? 5 : 1, 0, named(name, "refused") ? -EOPNOTSUPP : 0);
}

int dlmc_fs_unregister(int fd, char *name)
{
	return other_end[fd] > 0 && *name ? 0 : -1;
}

int dlmc_fs_notified(int fd, char *name, int node)
{
	return answer(fd, name, 2, node, named(name, "not-yet") ? -EAGAIN : 0);
}

int dlmc_fs_result(int fd, char *name, int *kind, int *node, int *result)
{
	struct answer one;
	errno = 0;
	if (read(fd, &one, sizeof one) != sizeof one)
		return -1;
	memcpy(name, one.name, sizeof one.name);
	*kind = one.kind;
	*node = one.node;
	*result = one.result;
	return 0;
}
