#!/usr/bin/env bash
# The stage on which tests/it/docs_commands.rs plays the commands of a page, as root in namespaces
# of its own: no network but loopback, so that the ports of the manual are free; folders of the
# system that may be written to and are thrown away; processes that end with the page.
#
#   docs_commands.sh WORKER FOLDER SCRIPT
set -eu -o pipefail
worker=$1 folder=$2 script=$3

ip link set lo up
# Leads nowhere, but a browser without any network tries nothing.
ip link add net0 type veth peer name net1
ip address add 192.0.2.1/24 dev net0
ip link set net0 up
ip link set net1 up
# A tmpfs above itself holds what is written; the folder on disk stays empty.
layers=$folder/layers
mkdir "$layers"
mount -t tmpfs tmpfs "$layers"
for name in etc var usr/local; do
    layer=$layers/${name//\//-}
    mkdir "$layer" "$layer.upper" "$layer.work"
    mount -t overlay overlay -o "lowerdir=/$name,upperdir=$layer.upper,workdir=$layer.work" "/$name"
done
mount -t tmpfs tmpfs /run

# The worker that was just built, under the name and at the place of an installed one.
touch /usr/local/bin/wavelog_worker
chmod 755 /usr/local/bin/wavelog_worker
mount --bind "$worker" /usr/local/bin/wavelog_worker
# Whoever plays is root already.
printf '#!/bin/sh\nexec "$@"\n' >/usr/local/bin/sudo
chmod 755 /usr/local/bin/sudo

# A folder with those parts of a checkout that pages copy from.
mkdir "$layers/page"
cd "$layers/page"
checkout=$(realpath "$(dirname "$0")/../..")
mkdir clients
cp -R "$checkout/clients/php" clients/
cp -R "$checkout/deploy" "$checkout/examples" .

# Nothing of the surroundings configures the worker, and nothing is asked of a person. Programs
# that check more than a line can are in $CHECKS.
exec env -i CHECKS="$checkout/tests/it" HOME="$layers/page" LC_ALL=C.UTF-8 \
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    timeout 90 bash -eu -o pipefail "$script" </dev/null
