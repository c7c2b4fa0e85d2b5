/* near.c: which name was meant. */
#include <string.h>

#include "cluster/cluster.h"

enum { NEAR_LONGEST = 64, NEAR_ENOUGH = 2 };

static int least(int a, int b)
{
	return a < b ? a : b;
}

/* How many letters have to be put in, left out, changed or swapped with their neighbour; NEAR_LONGEST for names that
 * are too long. */
static int distance(const char *a, const char *b)
{
	size_t rows = strlen(a), columns = strlen(b);
	int row[3][NEAR_LONGEST + 1];
	if (rows > NEAR_LONGEST || columns > NEAR_LONGEST)
		return NEAR_LONGEST;
	for (size_t j = 0; j <= columns; j++)
		row[0][j] = (int)j;
	for (size_t i = 1; i <= rows; i++) {
		int *now = row[i % 3], *above = row[(i + 2) % 3], *before = row[(i + 1) % 3];
		now[0] = (int)i;
		for (size_t j = 1; j <= columns; j++) {
			now[j] = least(least(above[j], now[j - 1]) + 1, above[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				now[j] = least(now[j], before[j - 2] + 1);
		}
	}
	return row[rows % 3][columns];
}

const char *cluster_near(const char *name, struct json_object *candidates)
{
	const char *nearest = NULL;
	int best = NEAR_ENOUGH + 1;
	json_each (item, candidates, "") {
		const char *candidate = json_text(item, "");
		int apart = candidate ? distance(name, candidate) : best;
		/* Where as many letters are wrong as there are, nothing is alike. */
		if (apart < best && (size_t)apart < strlen(candidate)) {
			best = apart;
			nearest = candidate;
		}
	}
	return nearest;
}
