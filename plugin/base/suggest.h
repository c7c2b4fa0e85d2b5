/* suggest.h: which known name was probably meant when a name is not known. Needs libc only and includes nothing of
 * ours, so that the command can link suggest.o without the rest of base. */
#ifndef VMM_SUGGEST_H
#define VMM_SUGGEST_H

/* Set `typed`, leave the rest zero, and offer each known name with suggest_try. `best` is then the known name that is
 * most similar, or NULL where none is similar enough to be what was meant. All strings are borrowed. */
struct suggestion {
	const char *typed;
	const char *best;
	int edits; /* between typed and best */
};

/* Takes `known` as the best name so far if it is similar enough to what was typed and more similar than the ones before
 * it:
 *   - it differs by one edit where up to 3 characters were typed, by two where up to 7 were, else by three; an edit is
 *     a character inserted, removed, replaced, or swapped with its neighbour. '-' and '_' count as the same character.
 *   - or it begins with what was typed, if that has 3 characters or more.
 * A name of which every character would have to be edited is never taken, nor one of more than 64 characters. */
void suggest_try(struct suggestion *suggestion, const char *known);

#endif
