#!/bin/sh
# shellcheck source-path=SCRIPTDIR source=lib.sh disable=SC2317
# Every command and every option that a message of the sources names is one that the command has: each is run here with
# the real tables of verbs and options, and a fake engine that does nothing. Reads the string literals of the C sources.
. "$(dirname "$0")/lib.sh"
sources=$(find "$here/../../plugin" "$here/../../cli" "$here/../../hooks" "$here/../../storage" -name '*.[ch]')

reply info 0 "$(VMMIGRATE_ENGINE=$BUILD/vmmigrate-engine "$vmmigrate" version --json)"

# literals FILE...: the string literals, one a line; adjacent ones are joined as the compiler does.
literals()
{
	for file; do
		gcc -w -fpreprocessed -dD -E -P "$file" | tr '\n\t' '  ' |
			sed "s/'\\\\*\"'//g; s/\\([^\\]\\)\" *\"/\\1/g" | grep -oE '"([^"\\]|\\.)+"' |
			sed 's/^"//; s/"$//; s/\\n/\n/g; s/\\t/ /g'
	done
}

# The commands in text: "vmmigrate", its first argument, and what follows as long as it looks like an argument. A %s is
# given a value that every verb takes. A command begins the text or follows a punctuation mark or a word like "run";
# after other words, as in "the package vmmigrate", the name is the product's.
commands()
{
	awk '
	function argument(token)
	{
		return token ~ /^(%[su]|%?[a-z]+\/%s|[A-Z]+|[0-9]+|node[0-9])$/ || token ~ /^--[a-z-]+(=[a-z]+)?$/ ||
			token ~ /^(add|test|list|source|target|guests|nodes|tasks)$/
	}
	{
		gsub(/vmmigrate (moves a guest|%s there is)/, "")
		while (match($0, /(^|[:;,.`\047"(]|(^|[^a-z])([Rr]un|[Ss]ee|[Tt]ry|[Uu]se|or)) *vmmigrate [^ ]/)) {
			$0 = substr($0, RSTART + RLENGTH - 1)
			rest = $0
			sub(/[;`),:.\047|\\].*/, "", rest)
			count = split(rest, token, " ")
			# Not typed by anybody: the usage of the command, and what is put together from its tables.
			if (token[1] ~ /^(GUEST|VERB|%s%s.*)$/)
				continue
			command = token[1] == "%s" ? "100" : token[1]
			sub(/%s/, "100", command)
			for (i = 2; i <= count && argument(token[i]); i++) {
				gsub(/%[su]/, "status", token[i])
				command = command " " token[i]
			}
			print command
		}
	}' | sort -u
}

# The options that text names, except those of other programs: "(virsh domstate --reason)", or a literal that is nothing
# but an argument for one.
options()
{
	grep -vE '^(--[a-z-]+=|[^ ]*$)' | tr ';`(),:.' '\n' |
		grep -vE '(virsh|usermod|losetup|ssh-keygen|systemctl|systemd-run|rsync|qemu-img) ' |
		grep -oE -- '(^|[^a-z-])--[a-z][a-z-]+' | grep -oE -- '--[a-z-]+' | sort -u
}

# check_commands: reads the arguments of a command from each line. Fails if the command line does not accept one of them.
check_commands()
{
	wrong=0
	while read -r arguments; do
		# A word that is no verb would be taken for a guest.
		case ${arguments%% *} in
		*[!a-z-]* | -*) ;;
		*)
			run help "${arguments%% *}"
			[ "$status" = 0 ] || {
				echo "a message names: vmmigrate $arguments"
				printf '%s\n' "$err" | sed 's/^/  /'
				wrong=1
			}
			;;
		esac
		# shellcheck disable=SC2086
		run $arguments
		[ "$status" != 2 ] && continue
		# A message may name a command without what it takes: "`vmmigrate node add` makes another".
		case $err in *"usage: vmmigrate $arguments "*) continue ;; esac
		echo "a message names: vmmigrate $arguments"
		printf '%s\n' "$err" | sed 's/^/  /'
		wrong=1
	done
	rm -f "$fake/out" "$fake/err" "$fake/asked"
	return $wrong
}

# check_options: reads an option from each line. Fails if neither the command nor the engine knows one of them.
check_options()
{
	wrong=0
	while read -r option; do
		"$vmmigrate" "$option=x" >"$fake/out" 2>&1
		grep -q "unknown option" "$fake/out" || continue
		echo "a message names the option $option:"
		sed 's/^/  /' "$fake/out"
		wrong=1
	done
	rm -f "$fake/out" "$fake/err" "$fake/asked"
	return $wrong
}

# shellcheck disable=SC2086
literals $sources >"$fake/literals"
commands <"$fake/literals" >"$fake/commands"
options <"$fake/literals" >"$fake/options"

# The sources name at least these: if they were not found, the search would be broken.
for known in 'list' 'recover status --keep source' 'node add NAME ADDRESS' '100 status --restart' 'seeds'; do
	grep -qxF -- "$known" "$fake/commands" || fail "'vmmigrate $known' was not found in the sources"
done
for known in --online --replace --targetstorage --keep --accept; do
	grep -qxF -- "$known" "$fake/options" || fail "'$known' was not found in the sources"
done

check_commands <"$fake/commands" >"$fake/wrong" || fail "$(cat "$fake/wrong")"
check_options <"$fake/options" >"$fake/wrong" || fail "$(cat "$fake/wrong")"

# A command and an option that do not exist are reported.
cat >"$fake/wrong.c" <<'END'
/* vmmigrate in-a-comment --in-a-comment */
static const char *const hints[] = {"list them: vmmigrate qemu/list", "run `vmmigrate recove"
	"r %s --kep source`, or give --onlin", "the package vmmigrate is not there (virsh list --all)",
	"a file that vmmigrate did not make",
	"end it (vmmigrate cancle %s)"};
END
literals "$fake/wrong.c" >"$fake/literals"
[ "$(commands <"$fake/literals")" = 'cancle status
qemu/list
recover status --kep source' ] || fail "other commands: $(commands <"$fake/literals")"
[ "$(options <"$fake/literals")" = '--kep
--onlin' ] || fail "other options: $(options <"$fake/literals")"
commands <"$fake/literals" | check_commands >"$fake/wrong" && fail "a command that does not exist is not found"
expect "$(cat "$fake/wrong")" 'a message names: vmmigrate qemu/list' 'unknown option --kep' "there is no verb 'cancle'"
options <"$fake/literals" | check_options >"$fake/wrong" && fail "an option that does not exist is not found"
expect "$(cat "$fake/wrong")" 'unknown option --onlin'
