#!/bin/bash
# Runs in the store: starts glusterd; the first time it makes the volume "shared" with one brick.
set -eu
pgrep -x glusterd >/dev/null || glusterd
tries=500
until gluster --mode=script volume list >/run/gluster.volumes 2>&1; do
    ((tries-- > 0)) || exit 1
    sleep 0.02
done
if ! grep -qx shared /run/gluster.volumes; then
    gluster --mode=script volume create shared store:/srv/brick force
    gluster --mode=script volume set shared network.ping-timeout 10
    gluster --mode=script volume start shared
fi
