#!/bin/bash
# FAULTS 28: the source loses power while memory crosses: the target starts nothing, and nothing is started there by hand; when the
# source is back, the guest is started there.
. "$(dirname "$0")/../../lab/live.sh"

fresh_lab
vm node1 100 --autostart
on node1 virsh dumpxml --inactive vm100 | on node2 tee /root/vm100.xml >/dev/null
begin_slowly node1 100
lab kill node1
wait "$begun" || true
wait_until "libvirt gives the incoming guest up" 60 gone node2 100
expect 1 on node2 sh -c 'virsh -q define /root/vm100.xml && virsh -q start vm100'
says "is being moved by task"
on node2 virsh -q undefine vm100
lab boot node1
wait_until "guest 100 is started on node1" 90 runs node1 100
runs_on node1 100
gone_from node2 100
at_rest
second_try node1 100 --online
lab records node2 100
