/* scenario: facts of two nodes from JSON files, with changes laid over them. */
#ifndef TEST_SCENARIO_H
#define TEST_SCENARIO_H

#include "migration/migration.h"

/* The file tests/scenarios/NAME.json; ends the test program where it is not there or not JSON. Belongs to the caller.
 */
struct json_object *scenario_file(const char *name);

/* Lays `patch` over *object (RFC 7396: objects are merged, null removes, all else replaces). An object that is laid
 * over an array changes the elements that its keys number; the number after the last appends. */
void scenario_patch(struct json_object **object, struct json_object *patch);

/* The facts of shared.json with those of `base` ("shared", "local", "container") and a patch (or NULL) laid over them.
 */
void scenario_facts(const char *base, struct json_object *patch, struct facts *facts);
/* The same, with the patch as text in which ' stands for ". */
void scenario_facts_text(const char *base, const char *patch, struct facts *facts);
void scenario_free(struct facts *facts);

#endif
