/* scenario: facts of two nodes from JSON files, with changes applied to them. */
#ifndef TEST_SCENARIO_H
#define TEST_SCENARIO_H

#include "migration/migration.h"

/* The file tests/scenarios/NAME.json; ends the test program if it cannot be read. Belongs to the caller. */
struct json_object *scenario_file(const char *name);

/* Applies `patch` to *object (RFC 7396: objects are merged, null removes, all else replaces). An object applied to an
 * array changes the elements whose indices are its keys; the index after the last one appends. */
void scenario_patch(struct json_object **object, struct json_object *patch);

/* The facts of shared.json, changed by those of `base` ("shared", "local", "container") and by a patch (or NULL). */
void scenario_facts(const char *base, struct json_object *patch, struct facts *facts);
/* The same with the patch as JSON text, with ' for ". */
void scenario_facts_text(const char *base, const char *patch, struct facts *facts);
void scenario_free(struct facts *facts);

#endif
