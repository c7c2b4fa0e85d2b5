/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Tables whose columns line up. */
#include "cli.h"

#include <stdarg.h>
#include <stdlib.h>

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

/* 0 where nothing is in it. */
static int column_width(const struct table *table, size_t column)
{
	int head = text_width(table->heads[column]), width = 0;

	for (size_t row = 0; row < table->count; row++) {
		int cell = text_width(table->cells[row * table->columns + column]);

		width = cell > width ? cell : width;
	}
	return width > 0 && width < head ? head : width;
}

static void print_row(const struct table *table, const struct screen *screen, const char *const *cells,
		      const int *widths)
{
	int gap = 0;

	for (size_t i = 0; i < table->columns; i++) {
		if (widths[i] == 0)
			continue;
		if (*cells[i]) {
			fprintf(screen->file, "%*s%s", gap, "", cells[i]);
			gap = 0;
		}
		gap += widths[i] - text_width(cells[i]) + 2;
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
