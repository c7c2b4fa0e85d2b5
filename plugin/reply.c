/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * As much of JSON as the plug-in needs: it checks that a text is well-formed and finds one number in it. No JSON
 * library is linked, since a panel may have loaded another one, or another version, with the same symbols. */
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

/* Each of the functions skip_* gets the first character of an element and returns the first character after it, or NULL
 * if the element is malformed. */
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

static const char *skip_literal(const char *p)
{
	static const char *const literals[] = {"true", "false", "null"};

	for (size_t i = 0; i < sizeof(literals) / sizeof(literals[0]); i++)
		if (strncmp(p, literals[i], strlen(literals[i])) == 0)
			return p + strlen(literals[i]);
	return NULL;
}

/* The name of an object's member and the colon: returns where the member's value begins. */
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
		return skip_literal(p);
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

/* Where the value of that member of a well-formed object begins, or NULL if it has no such member. */
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
