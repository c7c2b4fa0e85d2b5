/* suggest.c: which known name was probably meant. */
#include "suggest.h"

#include <stdbool.h>
#include <string.h>

enum { LENGTH_MOST = 64, PREFIX_LEAST = 3 };

static int least(int a, int b)
{
	return a < b ? a : b;
}

static bool same(char a, char b)
{
	return (a == '_' ? '-' : a) == (b == '_' ? '-' : b);
}

/* The optimal string alignment distance: how many characters have to be inserted, removed, replaced, or swapped with
 * their neighbour. Only three rows of its table are kept: row i needs rows i - 1 and i - 2. */
static int count_edits(const char *a, size_t rows, const char *b, size_t columns)
{
	int row[3][LENGTH_MOST + 1];
	for (size_t j = 0; j <= columns; j++)
		row[0][j] = (int)j;
	for (size_t i = 1; i <= rows; i++) {
		int *now = row[i % 3], *above = row[(i + 2) % 3], *two_above = row[(i + 1) % 3];
		now[0] = (int)i;
		for (size_t j = 1; j <= columns; j++) {
			now[j] = least(least(above[j], now[j - 1]) + 1, above[j - 1] + !same(a[i - 1], b[j - 1]));
			if (i > 1 && j > 1 && same(a[i - 1], b[j - 2]) && same(a[i - 2], b[j - 1]))
				now[j] = least(now[j], two_above[j - 2] + 1);
		}
	}
	return row[rows % 3][columns];
}

void suggest_try(struct suggestion *suggestion, const char *known)
{
	const char *typed = suggestion->typed;
	size_t length = strlen(typed), known_length = strlen(known);
	int limit = length <= 3 ? 1 : length <= 7 ? 2 : 3, edits;
	if (length == 0 || length > LENGTH_MOST || known_length > LENGTH_MOST)
		return;
	edits = count_edits(typed, length, known, known_length);
	/* The beginning of a name costs as much as the limit, so that a name with fewer edits is preferred to it. */
	if (edits > limit && length >= PREFIX_LEAST && length < known_length &&
	    count_edits(typed, length, known, length) == 0)
		edits = limit;
	if (edits > limit || (size_t)edits >= known_length || (suggestion->best && edits >= suggestion->edits))
		return;
	suggestion->best = known;
	suggestion->edits = edits;
}
