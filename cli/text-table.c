/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Prints tables whose columns line up. */
#include "cli.h"

#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define FOLD_LEAST 20 /* columns that the last cell must have to be folded; in fewer it would be harder to read */

void table_begin(struct table *table, const char *const *heads)
{
	*table = (struct table){.heads = heads};
	while (heads[table->columns])
		table->columns++;
}

void table_row(struct table *table, ...)
{
	size_t first = table->count * table->columns;
	va_list args;

	table->count++;
	table->cells = realloc(table->cells, table->count * table->columns * sizeof(*table->cells));
	if (!table->cells)
		abort();
	va_start(args, table);
	for (size_t i = 0; i < table->columns; i++) {
		const char *cell = va_arg(args, const char *);

		table->cells[first + i] = format("%s", cell ? cell : "");
	}
	va_end(args);
}

/* The width of the column's widest cell; 0 if all are empty, then it is not printed. */
static int column_width(const struct table *table, size_t column)
{
	int head = text_width(table->heads[column]), width = 0;

	for (size_t row = 0; row < table->count; row++) {
		int cell = text_width(table->cells[row * table->columns + column]);

		width = cell > width ? cell : width;
	}
	return width > 0 && width < head ? head : width;
}

/* Sets *last to the index of the last column that is printed, and returns the screen column in which it begins. */
static int last_column(const struct table *table, const int *widths, size_t *last)
{
	int begin = 0;

	*last = 0;
	for (size_t i = 0; i < table->columns; i++)
		*last = widths[i] > 0 ? i : *last;
	for (size_t i = 0; i < *last; i++)
		begin += widths[i] > 0 ? widths[i] + 2 : 0;
	return begin;
}

/* The length in bytes of what goes on a line as a whole: the next word, or if that is wider than `room` (a path, say)
 * as much of it as fits, up to a slash. */
static size_t word_length(const char *text, int room)
{
	size_t length = strcspn(text, " ");
	auto_free char *word = format("%.*s", (int)length, text), *start = text_cut(word, room);
	const char *slash = text_width(word) > room ? strrchr(start, '/') : NULL;

	return slash && slash > start ? (size_t)(slash - start) + 1 : length;
}

/* Prints text in lines of at most `room` columns, each of which begins in column `begin`. */
static void print_folded(const struct screen *screen, const char *text, int begin, int room)
{
	bool space = false;
	int column = 0;

	while (*text) {
		size_t length = word_length(text, room);
		auto_free char *word = format("%.*s", (int)length, text);
		int width = text_width(word);

		if (column > 0 && column + space + width > room) {
			fprintf(screen->file, "\n%*s", begin, "");
			column = 0;
		}
		fprintf(screen->file, "%s%s", column > 0 && space ? " " : "", word);
		column += (column > 0 && space) + width;
		space = text[length] == ' ';
		text += length + space;
	}
}

static void print_row(const struct table *table, const struct screen *screen, const char *const *cells,
		      const int *widths)
{
	size_t last;
	int begin = last_column(table, widths, &last), gap = 0;
	/* If the output is no terminal each row is one line, so that programs can read it. */
	int room = screen->terminal ? screen_width(screen) - begin : INT_MAX;

	for (size_t i = 0; i <= last; i++) {
		if (widths[i] == 0)
			continue;
		if (*cells[i])
			fprintf(screen->file, "%*s", gap, "");
		if (i == last)
			print_folded(screen, cells[i], begin, room < FOLD_LEAST ? INT_MAX : room);
		else if (*cells[i])
			fputs(cells[i], screen->file);
		gap = (*cells[i] ? 0 : gap) + widths[i] - text_width(cells[i]) + 2;
	}
}

void table_end(struct table *table, const struct screen *screen)
{
	int *widths = calloc(table->columns, sizeof(*widths));

	if (!widths)
		abort();
	for (size_t i = 0; i < table->columns; i++)
		widths[i] = column_width(table, i);
	if (table->count > 0) {
		fputs(color(screen, BOLD), screen->file);
		print_row(table, screen, table->heads, widths);
		fprintf(screen->file, "%s\n", color(screen, PLAIN));
	}
	for (size_t row = 0; row < table->count; row++) {
		print_row(table, screen, (const char *const *)table->cells + row * table->columns, widths);
		fputc('\n', screen->file);
	}
	for (size_t i = 0; i < table->count * table->columns; i++)
		free(table->cells[i]);
	free(table->cells);
	free(widths);
	*table = (struct table){0};
}
