/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What a terminal can show. Names of guests and messages of other nodes are not trusted: every reply and event is
 * sanitized once, when it comes in, and may be printed anywhere after that. */
#include "cli.h"

#include <langinfo.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

void screen_open(struct screen *screen, FILE *file)
{
	const char *term = getenv("TERM"), *no_color = getenv("NO_COLOR");

	screen->file = file;
	screen->terminal = isatty(fileno(file)) && term && *term && strcmp(term, "dumb") != 0;
	screen->color = screen->terminal && !(no_color && *no_color);
	screen->utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

int screen_width(const struct screen *screen)
{
	struct winsize size;

	if (screen->terminal && ioctl(fileno(screen->file), TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
		return size.ws_col;
	return 80;
}

const char *color(const struct screen *screen, enum color color)
{
	static const char *const sequences[] = {"\033[0m", "\033[1m", "\033[2m", "\033[31m", "\033[32m", "\033[33m"};

	return screen->color ? sequences[color] : "";
}

/* ------------------------------------------------------------------ characters */

/* Decodes one character of UTF-8. Returns its length and sets *rune. An invalid byte counts as one character, 0xdc00 +
 * byte. */
static int rune_read(const char *text, uint32_t *rune)
{
	const unsigned char *p = (const unsigned char *)text;
	int more = *p < 0x80 ? 0 : *p >= 0xf0 && *p < 0xf5 ? 3 : *p >= 0xe0 ? 2 : *p >= 0xc2 ? 1 : -1;
	static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};

	*rune = more > 0 ? *p & (0x3f >> more) : *p;
	for (int i = 1; i <= more; i++) {
		if ((p[i] & 0xc0) != 0x80)
			more = -1;
		else
			*rune = *rune << 6 | (p[i] & 0x3f);
	}
	if (more < 0 || *p >= 0xf5 || *rune < least[more] || (*rune >= 0xd800 && *rune < 0xe000) || *rune > 0x10ffff) {
		*rune = 0xdc00 + *p;
		return 1;
	}
	return more + 1;
}

/* False for what could control the terminal or disguise the text around it, see sanitize. */
static bool rune_is_safe(uint32_t rune, bool utf8, bool lines)
{
	if (rune == '\n' || rune == '\t')
		return lines;
	if (rune < 0x20 || rune == 0x7f)
		return false;
	if (rune < 0x80)
		return true;
	if (rune < 0xa0 || (rune >= 0xd800 && rune < 0xe000) || rune == 0xfeff)
		return false;
	if ((rune >= 0x200b && rune <= 0x200f) || (rune >= 0x2028 && rune <= 0x202e) ||
	    (rune >= 0x2060 && rune <= 0x206f))
		return false;
	return utf8 && wcwidth((wchar_t)rune) >= 0;
}

static char *sanitize_text(const char *text, size_t length, bool utf8, bool lines)
{
	char *result = NULL;
	size_t size;
	FILE *out = open_memstream(&result, &size);

	if (!out)
		abort();
	for (size_t i = 0; i < length;) {
		uint32_t rune;
		int n = rune_read(text + i, &rune);

		if (rune_is_safe(rune, utf8, lines))
			fwrite(text + i, 1, (size_t)n, out);
		else if (rune >= 0xdc00 && rune < 0xde00)
			fprintf(out, "\\x%02x", rune - 0xdc00);
		else if (rune < 0x80)
			fprintf(out, "\\x%02x", rune);
		else
			fprintf(out, rune > 0xffff ? "\\U%08x" : "\\u%04x", rune);
		i += (size_t)n;
	}
	if (fclose(out) != 0)
		abort();
	return result;
}

void sanitize(struct json_object *object, bool utf8, bool lines)
{
	if (json_object_is_type(object, json_type_object)) {
		json_object_object_foreach(object, key, value)
		{
			(void)key;
			sanitize(value, utf8, lines);
		}
	} else if (json_object_is_type(object, json_type_array)) {
		each (value, object)
			sanitize(value, utf8, lines);
	} else if (json_object_is_type(object, json_type_string)) {
		auto_free char *text = sanitize_text(json_object_get_string(object),
						     (size_t)json_object_get_string_len(object), utf8, lines);

		json_object_set_string(object, text);
	}
}

static int rune_width(uint32_t rune)
{
	int width = rune < 0x80 ? 1 : wcwidth((wchar_t)rune);

	return width < 0 ? 1 : width;
}

int text_width(const char *text)
{
	int width = 0;
	uint32_t rune;

	for (; *text; width += rune_width(rune))
		text += rune_read(text, &rune);
	return width;
}

char *text_cut(const char *text, int columns)
{
	size_t length = 0;
	uint32_t rune;

	while (text[length]) {
		int n = rune_read(text + length, &rune);

		columns -= rune_width(rune);
		if (columns < 0)
			break;
		length += (size_t)n;
	}
	return format("%.*s", (int)length, text);
}
