/* A stand-in for libcmap with a few keys. Only what is declared in cmap.h is assumed of the real one. ABSENT is a host without corosync. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { OK = 1, LIBRARY = 2, INVALID_PARAM = 7, NOT_EXIST = 12 };

struct entry {
	const char *key;
	int type;
	const void *value;
	size_t length;
};

static const uint32_t number = 3232235777u;
static const int8_t negative = -7;
static const uint64_t large = UINT64_MAX;
static const double broken = 1.5;

static const struct entry entries[] = {
	{ "totem.cluster_name", 11, "labpc", 6 },
	{ "not.utf8", 11, "a\xff", 3 },
	{ "nodelist.node.0.nodeid", 6, &number, sizeof(number) },
	{ "an.int8", 1, &negative, sizeof(negative) },
	{ "a.uint64", 8, &large, sizeof(large) },
	{ "a.double", 10, &broken, sizeof(broken) },
	{ "long.binary", 12, "0123456789abcdef", 16 },
};

int cmap_initialize(uint64_t *handle)
{
	*handle = 77;
#ifdef ABSENT
	return LIBRARY;
#else
	return OK;
#endif
}

int cmap_finalize(uint64_t handle)
{
	return handle == 77 ? OK : INVALID_PARAM;
}

static const struct entry *find(const char *key)
{
	for (size_t i = 0; i < sizeof(entries) / sizeof(entries[0]); i++)
		if (!strcmp(entries[i].key, key))
			return &entries[i];
	return NULL;
}

int cmap_get(uint64_t handle, const char *key, void *value, size_t *length, int *type)
{
	const struct entry *entry = find(key);

	if (handle != 77)
		return INVALID_PARAM;
	if (!entry)
		return NOT_EXIST;
	if (value) {
		if (*length < entry->length)
			return INVALID_PARAM;
		memcpy(value, entry->value, entry->length);
	}
	*length = entry->length;
	*type = entry->type;
	return OK;
}

int cmap_get_string(uint64_t handle, const char *key, char **text)
{
	const struct entry *entry = find(key);

	if (handle != 77 || (entry && entry->type != 11))
		return INVALID_PARAM;
	if (!entry)
		return NOT_EXIST;
	*text = strdup(entry->value);
	return OK;
}
