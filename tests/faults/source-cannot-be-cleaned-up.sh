#!/bin/bash
# FAULTS 43: the source cannot remove what it has given up: the migration is done, with warnings that name what is left over; the
# guest is the target's alone. What is named can be removed by hand, and the way back is free then.
. "$(dirname "$0")/../lab/live.sh"

images=/var/lib/libvirt/images
# left_over NODE PATH: the migration has just ended with exit status 8, and names this path of the node.
left_over() {
    says "TASK WARNINGS: "
    says "$2"
    on "$1" test -e "$2" || fail "$2 was removed after all"
}

# A directory with the attribute "a" takes new files, and removes none.
fresh_lab
vm node1 100 --disk dir --size 64M --data 8 --autostart
begin node1 100 node2 --restart --bwlimit 4096
until_says "precopy vda:"
on node1 chattr +a "$images"
finish 8
left_over node1 "$images/vm100.img"
runs_on node2 100
gone_from node1 100
lab records node2 100
on node1 chattr -a "$images"
on node1 rm "$images/vm100.img"
second_try node2 100 --restart
lab records node1 100
