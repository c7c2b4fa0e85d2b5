/* error.c: errors and log lines. */
#include <errno.h>
#include <string.h>

#include "base.h"

static int error_vset(struct vmm_error **err, enum vmm_exit exit, const char *code, char *message)
{
	if (!err) {
		free(message);
		return -1;
	}
	error_clear(err);
	struct vmm_error *e = mem_zero(sizeof(*e));
	e->exit = exit;
	snprintf(e->code, sizeof(e->code), "%s", code);
	e->message = message;
	*err = e;
	return -1;
}

static char *vformat(const char *format, va_list args)
{
	char *text;
	if (vasprintf(&text, format, args) < 0)
		abort();
	return text;
}

int error_set(struct vmm_error **err, enum vmm_exit exit, const char *code, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	char *message = vformat(format, args);
	va_end(args);
	return error_vset(err, exit, code, message);
}

static const char *errno_code(int number)
{
	switch (number) {
	case ENOSPC:
	case EDQUOT:
		return "no-space";
	case EIO:
		return "io-error";
	case EACCES:
	case EPERM:
		return "not-permitted";
	case ENOENT:
		return "not-there";
	default:
		return "system";
	}
}

int error_errno(struct vmm_error **err, int number, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vmm_auto_free char *what = vformat(format, args);
	va_end(args);
	return error_vset(err, VMM_FAILED, errno_code(number), str_format("%s: %s", what, strerror(number)));
}

int error_hint(struct vmm_error **err, const char *format, ...)
{
	if (!err || !*err)
		return -1;
	va_list args;
	va_start(args, format);
	free((*err)->hint);
	(*err)->hint = vformat(format, args);
	va_end(args);
	return -1;
}

int error_context(struct vmm_error **err, const char *format, ...)
{
	if (!err || !*err)
		return -1;
	va_list args;
	va_start(args, format);
	vmm_auto_free char *context = vformat(format, args);
	va_end(args);
	char *whole = str_format("%s: %s", context, (*err)->message);
	free((*err)->message);
	(*err)->message = whole;
	return -1;
}

/* "node2: ..." and "node2 has ..." begin with the name node2, "node20: ..." does not. */
static bool begins_with(const char *text, const char *name)
{
	size_t length = strlen(name);
	return !strncmp(text, name, length) && (text[length] == ':' || text[length] == ' ');
}

int error_on_node(struct vmm_error **err, const char *node)
{
	static const char prefix[] = "node ";
	if (!err || !*err)
		return -1;
	const char *message = (*err)->message;
	if (begins_with(message, node) || (str_starts(message, prefix) && begins_with(message + strlen(prefix), node)))
		return -1;
	return error_context(err, "%s", node);
}

void error_clear(struct vmm_error **err)
{
	if (!err || !*err)
		return;
	free((*err)->message);
	free((*err)->hint);
	free(*err);
	*err = NULL;
}

void error_take(struct vmm_error **err, struct vmm_error *from)
{
	if (err && !*err)
		*err = from;
	else
		error_clear(&from);
}

bool error_is(const struct vmm_error *err, const char *code)
{
	return err && !strcmp(err->code, code);
}

struct json_object *error_to_json(const struct vmm_error *err)
{
	return json_make("code:s message:s hint:s exit:d", err->code, err->message, err->hint, (int)err->exit);
}

int error_from_json(struct vmm_error **err, struct json_object *json)
{
	int64_t exit = json_number(json, "exit");
	error_set(err, exit >= VMM_FAILED && exit <= VMM_NEEDS_DECISION ? (enum vmm_exit)exit : VMM_FAILED,
		  json_text_or(json, "code", "unknown"), "%s",
		  json_text_or(json, "message", "an error without a message"));
	if (json_text(json, "hint"))
		error_hint(err, "%s", json_text(json, "hint"));
	return -1;
}

void vmm_cleanup_error(struct vmm_error **err)
{
	error_clear(err);
}

/* ------------------------------------------------------------------ log lines */

static void log_line(const char *level, const char *format, va_list args)
{
	char line[2048];
	vsnprintf(line, sizeof(line), format, args);
	fprintf(stderr, "%s%s\n", level, line);
}

#define LOG_BODY(level)                                                                                                \
	va_list args;                                                                                                  \
	va_start(args, format);                                                                                        \
	log_line(level, format, args);                                                                                 \
	va_end(args)

void log_info(const char *format, ...)
{
	LOG_BODY("");
}

void log_warn(const char *format, ...)
{
	LOG_BODY("warning: ");
}

void log_debug(const char *format, ...)
{
	if (!getenv("VMMIGRATE_DEBUG"))
		return;
	LOG_BODY("debug: ");
}
