/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * As much of JSON as the plug-in needs: a walk over text that tells well-formed from garbage and finds one number. A
 * panel may have any JSON library loaded, so none is linked here. */
#include "internal.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_LIMIT 64

static const char *skip_space(const char *p)
{
	return p + strspn(p, " \t\r\n");
}

/* Each of these takes the first character of what it skips and returns the one after it, or NULL where it is malformed.
 */
static const char *skip_value(const char *p, int depth);

static const char *skip_string(const char *p)
{
	if (*p++ != '"')
		return NULL;
	for (; *p != '"'; p++) {
		if ((unsigned char)*p < 0x20)
			return NULL;
		if (*p == '\\' && *++p == '\0')
			return NULL;
	}
	return p + 1;
}

static const char *skip_number(const char *p)
{
	return *p == '-' || isdigit((unsigned char)*p) ? p + strspn(p, "-+.0123456789eE") : NULL;
}

static const char *skip_word(const char *p)
{
	static const char *const words[] = {"true", "false", "null"};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strncmp(p, words[i], strlen(words[i])) == 0)
			return p + strlen(words[i]);
	return NULL;
}

/* A member's name and its colon: returns where the value begins. */
static const char *skip_name(const char *p)
{
	p = skip_string(p);
	if (!p)
		return NULL;
	p = skip_space(p);
	return *p == ':' ? skip_space(p + 1) : NULL;
}

static const char *skip_list(const char *p, char close, int depth)
{
	p = skip_space(p + 1);
	if (*p == close)
		return p + 1;
	for (;;) {
		if (close == '}' && !(p = skip_name(p)))
			return NULL;
		if (!(p = skip_value(p, depth + 1)))
			return NULL;
		p = skip_space(p);
		if (*p == close)
			return p + 1;
		if (*p != ',')
			return NULL;
		p = skip_space(p + 1);
	}
}

static const char *skip_value(const char *p, int depth)
{
	if (depth > DEPTH_LIMIT)
		return NULL;
	switch (*p) {
	case '{':
		return skip_list(p, '}', depth);
	case '[':
		return skip_list(p, ']', depth);
	case '"':
		return skip_string(p);
	case 't':
	case 'f':
	case 'n':
		return skip_word(p);
	default:
		return skip_number(p);
	}
}

bool reply_is_object(const char *text)
{
	const char *p = skip_space(text);

	if (*p != '{')
		return false;
	p = skip_value(p, 0);
	return p && *skip_space(p) == '\0';
}

/* The value of a member of a well-formed object, or NULL. */
static const char *member(const char *object, const char *name)
{
	size_t length = strlen(name);
	const char *p = skip_space(object + 1);

	while (*p == '"') {
		bool found = strncmp(p + 1, name, length) == 0 && p[1 + length] == '"';

		p = skip_name(p);
		if (found)
			return p;
		p = skip_space(skip_value(p, 0));
		if (*p == ',')
			p = skip_space(p + 1);
	}
	return NULL;
}

int reply_exit(const char *text)
{
	const char *error = member(skip_space(text), "error");
	const char *number;
	long exit;

	if (!error || *error != '{')
		return 0;
	number = member(error, "exit");
	exit = number ? strtol(number, NULL, 10) : 1;
	return exit > 0 && exit < 256 ? (int)exit : 1;
}

static void put_quoted(FILE *out, const char *text)
{
	fputc('"', out);
	for (; *text; text++) {
		if ((unsigned char)*text < 0x20)
			fprintf(out, "\\u%04x", (unsigned char)*text);
		else if (*text == '"' || *text == '\\')
			fprintf(out, "\\%c", *text);
		else
			fputc(*text, out);
	}
	fputc('"', out);
}

char *reply_error(int exit, const char *code, const char *message, const char *hint)
{
	char *text = NULL;
	size_t length;
	FILE *out = open_memstream(&text, &length);

	if (!out)
		return NULL;
	fprintf(out, "{\"api\":1,\"error\":{\"code\":\"%s\",\"message\":", code);
	put_quoted(out, message);
	fputs(",\"hint\":", out);
	if (hint)
		put_quoted(out, hint);
	else
		fputs("null", out);
	fprintf(out, ",\"exit\":%d}}", exit);
	if (fclose(out) == 0)
		return text;
	free(text);
	return NULL;
}
