/* qemu.c: virtual machines of libvirt's QEMU driver. This is the kind's index. */
#include "definition.h"
#include "qemu.h"

const struct guest_ops guest_qemu = {
	.kind = "qemu",
	.label = "VM",
	.edit = "virsh edit",
	.resume = "virsh resume",
	.open = qemu_open,
	.close = qemu_close,
	.alive = qemu_alive,
	.host_facts = qemu_host_facts,
	.list = qemu_list,
	.facts = qemu_facts,
	.fit = qemu_fit,
	.state = qemu_state,
	.rewrite = definition_rewrite,
	.define = qemu_define,
	.undefine = qemu_undefine,
	.autostart = qemu_autostart,
	.start = qemu_start,
	.release = qemu_release,
	.stop = qemu_stop,
	.destroy = qemu_destroy,
	.migrate = qemu_migrate,
	.migrate_end = qemu_migrate_end,
	.control_socket = "/run/libvirt/libvirt-sock",
	.control_uri = "qemu+unix:///system?socket=%s",
	.migrate_abort = qemu_migrate_abort,
};
