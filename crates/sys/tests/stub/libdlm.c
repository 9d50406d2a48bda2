/*
 * A stand-in for libdlm in tests: the six functions that are used, with the declarations of libdlm.h, over a queue in memory.
 * What a lock does is in its name; its answers wait until dlm_dispatch, as the real ones do. Any call with a handle that is
 * closed ends the process, and so does an answer to a status block that was given back.
 *
 * Facts relied on: those that crates/sys/src/libdlm.rs and fsdlm.rs state. It models no second node.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#define NOQUEUE 1
#define CANCEL 2
#define VALBLK 8
#define ECANCEL 0x10001
#define EUNLOCK 0x10002
#define EINPROG 0x10003
#define NOT_VALID 2
#define VALUE 32
#define MANY 4096

struct lksb {
	int status;
	uint32_t id;
	char flags;
	char *value;
};

typedef void (*callback)(void *);

struct lock {
	char name[65];
	struct lksb *lksb;
	void *argument;
	callback answer, wanted;
};

struct answer {
	struct lock *lock;
	int status, flags, is_wanted;
};

struct space {
	int open, pipe[2];
	struct lock locks[MANY];
	unsigned count, first, last;
	struct answer answers[MANY];
	char value[VALUE];
};

static struct space spaces[64];
static unsigned used;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static struct space *checked(void *handle)
{
	struct space *space = handle;
	if (space == NULL || !space->open)
		abort();
	return space;
}

static void queue(struct space *space, struct lock *lock, int status, int flags, int is_wanted)
{
	struct answer one = { lock, status, flags, is_wanted };
	space->answers[space->last++ % MANY] = one;
	if (write(space->pipe[1], "x", 1) != 1)
		abort();
}

static int refuse(int number)
{
	errno = number;
	return -1;
}

static int named(const char *name, const char *start)
{
	return strncmp(name, start, strlen(start)) == 0;
}

void *dlm_create_lockspace(const char *name, mode_t mode)
{
	if (mode != 0600)
		abort();
	if (named(name, "another-value-size"))
		return refuse(EPROTO), NULL;
	if (named(name, "silent"))
		return NULL;
	pthread_mutex_lock(&mutex);
	struct space *space = &spaces[used++ % 64];
	pthread_mutex_unlock(&mutex);
	memset(space, 0, sizeof *space);
	if (pipe2(space->pipe, O_CLOEXEC) != 0)
		return NULL;
	space->open = 1;
	return space;
}

int dlm_release_lockspace(const char *name, void *handle, int force)
{
	struct space *space = checked(handle);
	if (force)
		abort();
	space->open = 0;
	close(space->pipe[0]);
	if (space->pipe[1] >= 0)
		close(space->pipe[1]);
	if (named(name, "used-by-others"))
		return refuse(EBUSY);
	if (named(name, "not-to-be-left"))
		return refuse(EINVAL);
	return 0;
}

int dlm_ls_get_fd(void *handle)
{
	return checked(handle)->pipe[0];
}

int dlm_ls_lock(void *handle, uint32_t mode, struct lksb *lksb, uint32_t flags, const void *name, unsigned length,
		uint32_t parent, callback answer, void *argument, callback wanted, void *range)
{
	struct space *space = checked(handle);
	struct lock *lock = &space->locks[space->count];
	if (parent != 0 || range != NULL || !(flags & VALBLK) || (mode != 3 && mode != 5) || length > 64)
		abort();
	memcpy(lock->name, name, length);
	if (named(lock->name, "busy") && (flags & NOQUEUE))
		return memset(lock->name, 0, sizeof lock->name), refuse(EAGAIN);
	if (named(lock->name, "no-memory"))
		return memset(lock->name, 0, sizeof lock->name), refuse(ENOMEM);
	lock->lksb = lksb;
	lock->argument = argument;
	lock->answer = answer;
	lock->wanted = wanted;
	lksb->status = EINPROG;
	lksb->id = ++space->count;
	if (named(lock->name, "taken-away"))
		return close(space->pipe[1]), space->pipe[1] = -1, 0;
	if (named(lock->name, "busy") || named(lock->name, "granted-late"))
		return 0;
	if (named(lock->name, "refused-later"))
		return queue(space, lock, EAGAIN, 0, 0), 0;
	if (named(lock->name, "cancelled-by-others"))
		return queue(space, lock, ECANCEL, 0, 0), 0;
	if (named(lock->name, "deadlock"))
		return queue(space, lock, -EDEADLK, 0, 0), 0;
	queue(space, lock, 0, named(lock->name, "value-lost") ? NOT_VALID : 0, 0);
	if (named(lock->name, "wanted"))
		queue(space, lock, 0, 0, 1);
	return 0;
}

int dlm_ls_unlock(void *handle, uint32_t id, uint32_t flags, struct lksb *lksb, void *argument)
{
	struct space *space = checked(handle);
	if (id == 0 || id > space->count)
		return refuse(ENOENT);
	struct lock *lock = &space->locks[id - 1];
	if (lock->lksb != lksb || lock->argument != argument)
		abort();
	lksb->status = EINPROG;
	if (flags & CANCEL) {
		/* the second cancellation of one request */
		if (named(lock->name, "granted-late")) {
			if (lock->wanted != NULL)
				queue(space, lock, 0, 0, 0);
			lock->wanted = NULL;
			return refuse(EBUSY);
		}
		if (lock->wanted == NULL)
			return refuse(EBUSY);
		lock->wanted = NULL;
		return queue(space, lock, ECANCEL, 0, 0), 0;
	}
	if (named(lock->name, "not-to-be-released"))
		return refuse(EINVAL);
	if (flags & VALBLK)
		memcpy(space->value, lksb->value, VALUE);
	queue(space, lock, named(lock->name, "unlock-fails") ? ECANCEL : EUNLOCK, 0, 0);
	return 0;
}

#ifndef WITHOUT_DISPATCH
int dlm_dispatch(int fd)
{
	char byte;
	struct space *space = NULL;
	for (unsigned i = 0; i < 64; i++)
		if (spaces[i].open && spaces[i].pipe[0] == fd)
			space = &spaces[i];
	if (space == NULL)
		abort();
	while (space->first != space->last) {
		if (read(fd, &byte, 1) != 1)
			return -1;
		struct answer *one = &space->answers[space->first++ % MANY];
		struct lock *lock = one->lock;
		if (one->is_wanted) {
			if (lock->wanted != NULL)
				lock->wanted(lock->argument);
			continue;
		}
		lock->lksb->status = one->status;
		lock->lksb->flags = one->flags;
		if (one->status == 0)
			memcpy(lock->lksb->value, space->value, VALUE);
		lock->answer(lock->argument);
	}
	if (read(fd, &byte, 0) < 0)
		return -1;
	/* the other end is closed */
	int flags = fcntl(fd, F_GETFL);
	fcntl(fd, F_SETFL, flags | O_NONBLOCK);
	ssize_t got = read(fd, &byte, 1);
	int failed = got == 0;
	fcntl(fd, F_SETFL, flags);
	errno = 0;
	return failed ? -1 : 0;
}
#endif
