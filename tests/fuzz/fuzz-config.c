/* The parser of vmmigrate.conf. */
#include "cluster/cluster-internal.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
	struct text text = {0};
	struct json_object *config = NULL;
	struct vmm_error *err = NULL;
	text_add_bytes(&text, data, length);
	text_add_bytes(&text, "", 1);
	if (config_parse("vmmigrate.conf", text.data, &config, &err) == 0)
		json_line(config);
	json_object_put(config);
	error_clear(&err);
	text_free(&text);
	return 0;
}
