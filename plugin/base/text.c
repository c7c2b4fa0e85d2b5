/* text.c: strings, names and paths. */
#include <string.h>

#include "base.h"

void *mem_zero(size_t size)
{
	void *memory = calloc(1, size ? size : 1);
	if (!memory)
		abort();
	return memory;
}

char *str_format(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	char *text;
	if (vasprintf(&text, format, args) < 0)
		abort();
	va_end(args);
	return text;
}

char *str_copy(const char *text)
{
	char *copy = strdup(text ? text : "");
	if (!copy)
		abort();
	return copy;
}

bool str_same(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

bool str_starts(const char *text, const char *start)
{
	return !strncmp(text, start, strlen(start));
}

bool str_ends(const char *text, const char *end)
{
	size_t a = strlen(text), b = strlen(end);
	return a >= b && !strcmp(text + a - b, end);
}

void str_replace(char **slot, const char *text)
{
	char *copy = text ? str_copy(text) : NULL;
	free(*slot);
	*slot = copy;
}

char *str_size(int64_t bytes)
{
	static const char *const unit[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB"};
	double value = (double)bytes;
	size_t step = 0;
	while (value >= 1024 && step + 1 < VMM_COUNT(unit)) {
		value /= 1024;
		step++;
	}
	return step ? str_format("%.1f %s", value, unit[step]) : str_format("%lld bytes", (long long)bytes);
}

void text_add_bytes(struct text *text, const void *bytes, size_t length)
{
	if (text->length + length + 1 > text->capacity) {
		text->capacity = (text->length + length + 1) * 2;
		text->data = realloc(text->data, text->capacity);
		if (!text->data)
			abort();
	}
	memcpy(text->data + text->length, bytes, length);
	text->length += length;
	text->data[text->length] = 0;
}

void text_add(struct text *text, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	char *more;
	int length = vasprintf(&more, format, args);
	va_end(args);
	if (length < 0)
		abort();
	text_add_bytes(text, more, (size_t)length);
	free(more);
}

char *text_take(struct text *text)
{
	char *data = text->data ? text->data : str_copy("");
	*text = (struct text){0};
	return data;
}

void text_free(struct text *text)
{
	free(text->data);
	*text = (struct text){0};
}

static bool has_control(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			return true;
	return false;
}

int name_check(const char *name, const char *what, struct vmm_error **err)
{
	const char *wrong = NULL;
	if (!name || !*name)
		return error_set(err, VMM_USAGE, "bad-name", "%s: the name is empty", what);
	if (has_control(name))
		return error_set(err, VMM_USAGE, "bad-name", "%s: the name has control characters", what);
	if (strlen(name) > 200)
		wrong = "is longer than 200 bytes";
	else if (strchr(name, '/'))
		wrong = "has a '/'";
	else if (!strcmp(name, ".") || !strcmp(name, ".."))
		wrong = "names a directory itself";
	else if (*name == '-')
		wrong = "begins with '-'";
	return wrong ? error_set(err, VMM_USAGE, "bad-name", "%s: the name \"%s\" %s", what, name, wrong) : 0;
}

int path_check(const char *path, const char *what, struct vmm_error **err)
{
	if (!path || *path != '/')
		return error_set(err, VMM_USAGE, "bad-path", "%s: \"%s\" is not an absolute path", what,
				 path ? path : "");
	if (has_control(path) || strlen(path) >= 4096)
		return error_set(err, VMM_USAGE, "bad-path", "%s: the path has control characters or is too long",
				 what);
	for (const char *part = path; part; part = strchr(part, '/')) {
		part++;
		size_t length = strcspn(part, "/");
		if ((length == 1 && part[0] == '.') || (length == 2 && part[0] == '.' && part[1] == '.')) {
			error_set(err, VMM_USAGE, "bad-path", "%s: \"%s\" has a \".\" or \"..\" part", what, path);
			return error_hint(err, "write the path without them");
		}
	}
	return 0;
}

char *path_dir(const char *path)
{
	const char *slash = strrchr(path, '/');
	if (!slash)
		return str_copy(".");
	return slash == path ? str_copy("/") : str_format("%.*s", (int)(slash - path), path);
}

const char *path_base(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

void vmm_cleanup_free(void *slot)
{
	free(*(void **)slot);
	*(void **)slot = NULL;
}

void vmm_cleanup_text(struct text *text)
{
	text_free(text);
}
