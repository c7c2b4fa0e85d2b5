/* guest.c: the kinds of guests. */
#include "guest.h"

const struct guest_ops *const guest_kinds[] = {&guest_qemu, &guest_lxc, &guest_null, NULL};

const struct guest_ops *guest_kind(const char *kind)
{
	for (const struct guest_ops *const *ops = guest_kinds; *ops; ops++)
		if (str_same((*ops)->kind, kind))
			return *ops;
	return NULL;
}
