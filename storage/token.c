/* token.c: proves whether a directory of this node is the same one on another node: a file with a random name, which is
 * written on one node, is there on the other node or not. No volume is written to for that. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "storage.h"

#define TOKEN_START ".vmmigrate-token-"

enum {
	TOKEN_BYTES = 16,
	TOKEN_WAIT_MS = 3000, /* NFS may take so long to show a change of a directory (its attribute cache) */
	TOKEN_PAUSE_MS = 100,
};

/* Tokens come from the other node: only names as storage_token_write makes them may be looked for or removed. */
static int token_check(const char *dir, const char *token, struct vmm_error **err)
{
	if (path_check(dir, "storage", err) < 0)
		return -1;
	const char *digits = token && str_starts(token, TOKEN_START) ? token + strlen(TOKEN_START) : "";
	if (strlen(digits) == 2 * TOKEN_BYTES && strspn(digits, "0123456789abcdef") == 2 * TOKEN_BYTES)
		return 0;
	return error_set(err, VMM_USAGE, "bad-name", "\"%s\" is not the name of a token", token ? token : "");
}

int storage_token_write(const char *dir, char **token, struct vmm_error **err)
{
	if (path_check(dir, "storage", err) < 0)
		return -1;
	vmm_auto_free char *random = random_hex(TOKEN_BYTES), *name = str_format(TOKEN_START "%s", random);
	vmm_auto_free char *path = str_format("%s/%s", dir, name);
	vmm_auto_close int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return error_errno(err, errno, "write a token into %s", dir);
	int status = fsync(fd) < 0 ? error_errno(err, errno, "sync the token in %s", dir) : dir_sync(dir, err);
	if (status < 0)
		unlink(path);
	else
		*token = str_copy(name);
	return status;
}

/* Reads the whole directory, since a lookup of the name alone may be answered from a cache. */
static bool in_directory(const char *dir, const char *token)
{
	DIR *names = opendir(dir);
	struct dirent *entry = NULL;
	while (names && (entry = readdir(names)))
		if (str_same(entry->d_name, token))
			break;
	if (names)
		closedir(names);
	return entry != NULL;
}

int storage_token_there(const char *dir, const char *token, bool *there, struct vmm_error **err)
{
	struct storage_fs fs = {0};
	if (token_check(dir, token, err) < 0 || storage_fs_look(dir, &fs, err) < 0)
		return -1;
	bool cached = !str_same(fs.sharing, "local");
	storage_fs_free(&fs);
	int64_t end = clock_steady_ms() + (cached ? TOKEN_WAIT_MS : 0);
	while (!(*there = in_directory(dir, token)) && clock_steady_ms() < end)
		clock_sleep_ms(TOKEN_PAUSE_MS);
	return 0;
}

int storage_token_remove(const char *dir, const char *token, struct vmm_error **err)
{
	if (token_check(dir, token, err) < 0)
		return -1;
	vmm_auto_free char *path = str_format("%s/%s", dir, token);
	return file_remove(path, err);
}
