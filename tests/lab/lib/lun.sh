#!/bin/bash
# lun FILE: exports /srv/luns/NUMBER as the iSCSI target of guest NUMBER. Runs in the store.
set -eu
id=${1##*/}
tgtadm --lld iscsi --op new --mode target --tid "$id" --targetname "iqn.2026-01.org.vmmigrate.lab:vm$id"
tgtadm --lld iscsi --op new --mode logicalunit --tid "$id" --lun 1 --backing-store "$1"
tgtadm --lld iscsi --op bind --mode target --tid "$id" --initiator-address ALL
