/* secrets.c: takes passwords out of what we show. Definitions travel with the passwords of their VNC and SPICE
 * displays, since a guest would have none on the target otherwise; replies to panels and the input of hooks have them
 * without.
 */
#include <string.h>

#include "guest.h"

/* Where the next attribute passwd='...' begins, with the space before it, and where it ends; or NULL. */
static char *find_password(char *text, char **end)
{
	static const char attribute[] = " passwd=";
	while ((text = strstr(text, attribute))) {
		/* Within JSON that is a string itself there may be a backslash before the quotes. */
		char *quote = text + strlen(attribute);
		quote += *quote == '\\';
		char *close = *quote == '\'' || *quote == '"' ? strchr(quote + 1, *quote) : NULL;
		*end = close ? close + 1 : NULL;
		if (close)
			return text;
		text++;
	}
	return NULL;
}

static struct json_object *without_passwords(const char *text)
{
	vmm_auto_free char *shown = str_copy(text);
	char *at = shown, *end;
	while ((at = find_password(at, &end)))
		memmove(at, end, strlen(end) + 1);
	return json_object_new_string(shown);
}

struct json_object *guest_shown(struct json_object *about)
{
	if (json_object_is_type(about, json_type_string))
		return without_passwords(json_object_get_string(about));
	struct json_object *shown;
	if (json_object_is_type(about, json_type_array)) {
		shown = json_object_new_array();
		for (size_t i = 0; i < json_object_array_length(about); i++)
			json_object_array_add(shown, guest_shown(json_object_array_get_idx(about, i)));
	} else if (json_object_is_type(about, json_type_object)) {
		shown = json_object_new_object();
		json_object_object_foreach(about, key, value)
		{
			json_object_object_add(shown, key, guest_shown(value));
		}
	} else {
		shown = json_object_get(about);
	}
	return shown;
}
