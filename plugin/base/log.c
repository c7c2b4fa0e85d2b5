/* log.c: lines for whoever reads stderr. */
#include "base.h"

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
