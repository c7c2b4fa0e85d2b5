/* guest.c: the kinds of guests. */
#include "guest.h"

const struct guest_ops *const guest_kinds[] = {&guest_qemu, &guest_lxc, &guest_null, NULL};
_Static_assert(VMM_COUNT(guest_kinds) == GUEST_KINDS_MOST + 1, "GUEST_KINDS_MOST is the number of kinds");

const struct guest_ops *guest_kind(const char *kind)
{
	for (const struct guest_ops *const *ops = guest_kinds; *ops; ops++)
		if (str_same((*ops)->kind, kind))
			return *ops;
	return NULL;
}

char *guest_record_name(struct json_object *guest)
{
	const char *uuid = json_text(guest, "uuid");
	return str_format("%s-%s", json_text_or(guest, "kind", ""),
			  uuid && *uuid ? uuid : json_text_or(guest, "id", ""));
}
