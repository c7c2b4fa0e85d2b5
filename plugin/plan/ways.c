/* ways.c: a refusal names another way only if it is open. Each other mode is judged by its own checks, of the same
 * facts and request. */
#include "plan/checks.h"

const char *mode_option(enum mode mode)
{
	return mode == MODE_LIVE ? "online" : mode == MODE_PAUSED ? "non-live" : "restart";
}

/* The request as it would be with that mode's option. */
static struct json_object *request_in(const struct facts *facts, enum mode mode)
{
	struct json_object *request = json_copy(facts->request), *options = json_at(request, "options");
	if (options) {
		json_object_object_del(options, "online");
		json_object_object_del(options, "non_live");
		json_object_object_del(options, "restart");
		json_put(options, mode == MODE_LIVE ? "online:b" : mode == MODE_PAUSED ? "non_live:b" : "restart:b", 1);
	}
	return request;
}

struct json_object *way_refusal(const struct facts *facts, enum mode mode)
{
	vmm_auto_json struct json_object *request = request_in(facts, mode);
	struct facts other = *facts;
	other.request = request;
	vmm_auto_json struct json_object *findings = checks_consider(&other, mode);
	json_each (finding, findings, "")
		if (finding_refuses(finding))
			return json_object_get(finding);
	return NULL;
}

void hint_ways(const struct look *look, struct json_object *finding, unsigned ways, const char *format, ...)
{
	static const enum mode all[] = {MODE_LIVE, MODE_PAUSED, MODE_RESTART};
	vmm_auto_text struct text open = {0}, closed = {0};
	vmm_auto_free char *remedy = NULL;
	va_list args;
	va_start(args, format);
	if (vasprintf(&remedy, format, args) < 0)
		abort();
	va_end(args);
	for (size_t i = 0; i < VMM_COUNT(all) && !look->considered; i++) {
		if (!(ways & all[i]))
			continue;
		vmm_auto_json struct json_object *refusal = way_refusal(look->facts, all[i]);
		if (refusal)
			text_add(&closed, "; --%s is no way now: %s", mode_option(all[i]),
				 json_text_or(refusal, "message", "?"));
		else
			text_add(&open, "%s--%s", open.length ? " or " : "", mode_option(all[i]));
	}
	finding_hint(finding, "%s%s%s%s", remedy, open.length ? ", or move the guest with " : "",
		     open.length ? open.data : "", open.length || !closed.length ? "" : closed.data);
}

void hint_restart(const struct look *look, struct json_object *finding, const char *how)
{
	vmm_auto_json struct json_object *refusal = look->considered ? NULL : way_refusal(look->facts, MODE_RESTART);
	const char *kind = facts_kind(look->facts), *id = json_text_or(look->guest, "id", "?");
	const char *hint = json_text(refusal, "hint");
	vmm_auto_free char *who = str_same(kind, guest_kinds[0]->kind) ? str_copy(id) : str_format("%s/%s", kind, id);
	if (refusal)
		finding_hint(finding, "no way is open: --restart is refused as well: %s%s%s",
			     json_text_or(refusal, "message", "?"), hint ? " - " : "", hint ? hint : "");
	else
		finding_hint(finding,
			     "`vmmigrate %s %s --restart` works: it %s, shuts it down, sends what has changed and "
			     "starts it there; it is off for about %.1f s",
			     who, look->name[TARGET], how, (double)plan_restart_ms(look->facts) / 1000);
}
