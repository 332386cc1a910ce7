#!/bin/sh
# start.sh CONFIG PASSWORD_FILE: runs Redis with the password that a file holds, one word. It is never an argument, so `ps` does
# not show it. The rights are those of docs/redis.acl.
set -eu
umask 077
users="$(mktemp)"
printf 'user default on >%s resetchannels ~framesift:* -@all +@read +@write +@connection +@transaction +@scripting +time -@dangerous +info\n' "$(cat "$2")" > "$users"
exec redis-server "$1" --aclfile "$users"
