/* tables.c: prints the code's tables as the model needs them: the states of a guest record and the steps between them,
 * and the modes that each phase is for. `make check-model` includes what it prints. */
#include <ctype.h>
#include <stdio.h>

#include "migration/migration.h"
#include "node/record.h"

static void print_upper(const char *text)
{
	for (; *text; text++)
		putchar(*text == '-' ? '_' : toupper((unsigned char)*text));
}

int main(void)
{
	for (enum record_state to = RECORD_IDLE; to < RECORD_STATES; to++) {
		unsigned from_these = 0;
		for (enum record_state from = RECORD_IDLE; from < RECORD_STATES; from++)
			from_these |= (unsigned)record_may_become(from, to) << from;
		printf("#define RECORD_");
		print_upper(record_state_name(to));
		printf(" %d\n#define FROM_%d %u\n", (int)to, (int)to, from_these);
	}
	printf("#define REACHABLE_FROM(to) ");
	for (enum record_state to = RECORD_IDLE; to < RECORD_STATES - 1; to++)
		printf("((to) == %d -> FROM_%d : ", (int)to, (int)to);
	printf("FROM_%d", RECORD_STATES - 1);
	for (enum record_state to = RECORD_IDLE; to < RECORD_STATES - 1; to++)
		putchar(')');
	printf("\n#define LIVE %d\n#define RESTART %d\n#define OFFLINE %d\n", MODE_LIVE, MODE_RESTART, MODE_OFFLINE);
	for (size_t i = 0; i < phase_count; i++) {
		printf("#define MODES_");
		for (const char *c = phases[i].name; *c; c++)
			putchar(*c == '-' ? '_' : *c);
		printf(" %u\n", phases[i].modes);
	}
	return 0;
}
