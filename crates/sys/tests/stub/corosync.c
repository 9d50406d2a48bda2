/*
 * A stand-in for libcpg and libquorum in tests: the functions that are used, with the declarations of cpg.h and quorum.h, over memory. What a group does is in its name. Any call with a handle that is closed ends the process, and so do two calls with one handle at once.
 *
 * Facts relied on: those that crates/sys/src/corosync and its files state. It models one process alone; ABSENT is a host without corosync,
 * BUSY one whose corosync never has time.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define OK 1
#define LIBRARY 2
#define TRY_AGAIN 6
#define NOT_EXIST 12
#define EXIST 14
#define NODE 0xfffffff0u
#define STACK (1 << 20)

struct name {
	uint32_t length;
	char value[128];
};

struct address {
	uint32_t node, pid, reason;
};

typedef void (*deliver)(uint64_t, const struct name *, uint32_t, uint32_t, void *, size_t);
typedef void (*change)(uint64_t, const struct name *, const struct address *, size_t, const struct address *, size_t,
		       const struct address *, size_t);

struct model {
	int model;
	deliver deliver;
	change change;
	void *totem;
	unsigned flags;
};

struct event {
	struct event *next;
	char kind;
	size_t length;
	char bytes[];
};

static struct group {
	int open, calls, joins, joined, ended, pipe[2];
	struct model model;
	struct name name;
	struct event *first, **last;
} groups[1024];
static int used;

static int first_tries(void)
{
#if defined ABSENT
	return LIBRARY;
#elif defined BUSY
	return TRY_AGAIN;
#else
	static int tries;
	return __sync_add_and_fetch(&tries, 1) <= 2 ? TRY_AGAIN : OK;
#endif
}

static int named(const struct group *group, const char *name)
{
	return group->name.length == strlen(name) && memcmp(group->name.value, name, strlen(name)) == 0;
}

static struct group *enter(uint64_t handle)
{
	struct group *group = &groups[handle % 1024];
	if (!group->open || __sync_add_and_fetch(&group->calls, 1) != 1)
		abort();
	if (!named(group, "spins"))
		usleep(100);
	return group;
}

static int leave(struct group *group, int status)
{
	if (__sync_sub_and_fetch(&group->calls, 1) != 0)
		abort();
	return status;
}

static void queue(struct group *group, char kind, const void *bytes, size_t length)
{
	struct event *event = calloc(1, sizeof *event + length);
	event->kind = kind;
	event->length = length;
	if (length != 0)
		memcpy(event->bytes, bytes, length);
	*group->last = event;
	group->last = &event->next;
	if (write(group->pipe[1], "x", 1) != 1)
		abort();
}

int cpg_model_initialize(uint64_t *handle, int model, struct model *data, void *context)
{
	int status = first_tries();
	if (status != OK)
		return status;
	if (model != 1 || data->model != 1 || data->totem != NULL || data->flags != 0 || context != NULL)
		abort();
	do
		*handle = __sync_fetch_and_add(&used, 1) % 1024;
	while (groups[*handle].open);
	struct group *group = &groups[*handle];
	memset(group, 0, sizeof *group);
	if (pipe2(group->pipe, O_CLOEXEC | O_NONBLOCK) != 0)
		return LIBRARY;
	group->model = *data;
	group->last = &group->first;
	group->open = 1;
	return OK;
}

int cpg_finalize(uint64_t handle)
{
	struct group *group = enter(handle);
	while (group->first != NULL) {
		struct event *event = group->first;
		group->first = event->next;
		free(event);
	}
	close(group->pipe[0]);
	if (group->pipe[1] >= 0)
		close(group->pipe[1]);
	leave(group, OK);
	group->open = 0;
	return OK;
}

#ifndef WITHOUT_DESCRIPTOR
int cpg_fd_get(uint64_t handle, int *fd)
{
	struct group *group = enter(handle);
	*fd = group->pipe[0];
	return leave(group, OK);
}
#endif

int cpg_local_get(uint64_t handle, unsigned *node)
{
	*node = NODE;
	return leave(enter(handle), OK);
}

int cpg_join(uint64_t handle, const struct name *name)
{
	struct group *group = enter(handle);
	group->name = *name;
	group->joins++;
	if (named(group, "try-again") && group->joins < 3)
		return leave(group, TRY_AGAIN);
	if (named(group, "closed-just-now") && group->joins < 3)
		return leave(group, EXIST);
	if (named(group, "not-allowed"))
		return leave(group, 11);
	group->joined = 1;
	if (named(group, "parts"))
		for (int part = 0; part < 5; part++)
			queue(group, 'p', NULL, 0);
	if (named(group, "hangs-up")) {
		close(group->pipe[1]);
		group->pipe[1] = -1;
	} else if (named(group, "spins")) {
		if (write(group->pipe[1], "x", 1) != 1)
			abort();
	} else if (!named(group, "silent")) {
		queue(group, 'j', NULL, 0);
	}
	return leave(group, OK);
}

int cpg_leave(uint64_t handle, const struct name *name)
{
	struct group *group = enter(handle);
	if (memcmp(name, &group->name, sizeof *name) != 0)
		abort();
	if (!group->joined)
		return leave(group, NOT_EXIST);
	group->joined = 0;
	queue(group, 'l', NULL, 0);
	return leave(group, OK);
}

int cpg_mcast_joined(uint64_t handle, int guarantee, const struct iovec *pieces, unsigned count)
{
	struct group *group = enter(handle);
	if (guarantee != 2 || count != 1)
		abort();
	if (named(group, "busy"))
		return leave(group, TRY_AGAIN);
	queue(group, 'm', pieces->iov_base, pieces->iov_len);
	return leave(group, OK);
}

static void tell(struct group *group, uint64_t handle, struct event *event)
{
	struct address self = { NODE, (uint32_t)getpid(), 1 }, other = { 2, 22, 3 }, third = { 3, 33, 5 };
	struct address left[] = { other, third }, members[] = { self, other };
	struct name name = group->name;
	change change = group->model.change;
	if (event->kind == 'p')
		return;
	if (event->kind == 'm') {
		size_t length = named(group, "wild-message") ? SIZE_MAX / 2 : event->length;
		group->model.deliver(handle, &name, NODE, self.pid, length ? event->bytes : NULL, length);
		return;
	}
	if (event->kind == 'l') {
		self.reason = 2;
		change(handle, &name, NULL, 0, &self, 1, NULL, 0);
		return;
	}
	if (named(group, "too-many"))
		change(handle, &name, &self, 129, NULL, 0, &self, 1);
	else if (named(group, "wild-count"))
		change(handle, &name, &self, 1, &self, SIZE_MAX, &self, 1);
	else if (named(group, "without-name"))
		change(handle, NULL, &self, 1, NULL, 0, &self, 1);
	else if (named(group, "odd-reason"))
		change(handle, &name, &self, 1, &self, 1, &self, 1);
	else if (named(group, "long-name"))
		name.length = 129, change(handle, &name, &self, 1, NULL, 0, &self, 1);
	else if (named(group, "wild-name"))
		name.length = UINT32_MAX, change(handle, &name, &self, 1, NULL, 0, &self, 1);
	else if (named(group, "another"))
		name.length--, change(handle, &name, &self, 1, NULL, 0, &self, 1);
	else if (named(group, "departures"))
		change(handle, &name, members, 1, left, 2, NULL, 0);
	else
		change(handle, &name, &self, 1, NULL, 0, &self, 1);
}

int cpg_dispatch(uint64_t handle, int how)
{
	/* as the real one does, which keeps the longest message on its stack */
	volatile char buffer[STACK];
	for (int at = 0; at < STACK; at += 512)
		buffer[at] = 0;
	if (buffer[0] != 0)
		abort();
	struct group *group = enter(handle);
	char byte;
	if (how != 4)
		abort();
	struct event *event = group->first;
	if (event == NULL || named(group, "spins"))
		return leave(group, group->ended ? LIBRARY : TRY_AGAIN);
	if (read(group->pipe[0], &byte, 1) != 1)
		abort();
	group->first = event->next;
	if (group->first == NULL)
		group->last = &group->first;
	tell(group, handle, event);
	free(event);
	group->ended = named(group, "lost");
	return leave(group, OK);
}

int quorum_initialize(uint64_t *handle, void **callbacks, uint32_t *type)
{
	if (*callbacks != NULL)
		abort();
	*handle = 78;
	*type = 1;
	return first_tries();
}

int quorum_finalize(uint64_t handle)
{
	return handle == 78 ? OK : LIBRARY;
}

int quorum_getquorate(uint64_t handle, int *quorate)
{
	static int looks;
	if (handle != 78)
		abort();
	*quorate = looks++ % 2;
	return OK;
}
