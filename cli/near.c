/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Which name was meant. */
#include "cli.h"

#include <string.h>

#define LENGTH_MOST 40

static char fold(char c)
{
	return c == '_' ? '-' : c;
}

bool alike(const char *a, const char *b)
{
	while (*a && fold(*a) == fold(*b)) {
		a++;
		b++;
	}
	return *a == '\0' && *b == '\0';
}

static int least_of(int a, int b, int c)
{
	a = a < b ? a : b;
	return a < c ? a : c;
}

/* How many letters have to be put in, left out, changed, or swapped with their neighbour. */
static int distance(const char *a, size_t length_a, const char *b, size_t length_b)
{
	int d[LENGTH_MOST + 1][LENGTH_MOST + 1];

	for (size_t i = 0; i <= length_a; i++)
		d[i][0] = (int)i;
	for (size_t j = 0; j <= length_b; j++)
		d[0][j] = (int)j;
	for (size_t i = 1; i <= length_a; i++) {
		for (size_t j = 1; j <= length_b; j++) {
			int other = fold(a[i - 1]) != fold(b[j - 1]);

			d[i][j] = least_of(d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + other);
			if (i > 1 && j > 1 && fold(a[i - 1]) == fold(b[j - 2]) && fold(a[i - 2]) == fold(b[j - 1]) &&
			    d[i - 2][j - 2] + 1 < d[i][j])
				d[i][j] = d[i - 2][j - 2] + 1;
		}
	}
	return d[length_a][length_b];
}

void near_try(struct near *near, const char *candidate)
{
	size_t length = strlen(near->word), other = strlen(candidate);
	int limit = length <= 3 ? 1 : length <= 7 ? 2 : 3, far;

	if (length == 0 || length > LENGTH_MOST || other > LENGTH_MOST)
		return;
	far = distance(near->word, length, candidate, other);
	/* A beginning that is long enough is a good guess, too, if there is no better. */
	if (far > limit && length >= 3 && other > length && distance(near->word, length, candidate, length) == 0)
		far = limit;
	if (far <= limit && (!near->best || far < near->distance)) {
		near->best = candidate;
		near->distance = far;
	}
}
