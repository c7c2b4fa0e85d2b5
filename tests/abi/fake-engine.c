/* An engine that misbehaves in the way that its verb names: a panel that loads the plug-in must survive all of them.
 * Used by test-plugin.c. */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char request[2 << 20];

static void read_request(void)
{
	size_t n = fread(request, 1, sizeof(request) - 1, stdin);

	request[n] = '\0';
}

static int say(const char *reply, int status)
{
	puts(reply);
	return status;
}

/* Replies with the request, so that a caller can tell its own reply from another thread's. */
static int verb_echo(void)
{
	read_request();
	printf("{\"api\":1,\"got\":%s}\n", request);
	return 0;
}

/* The signals 1 to 31 of a mask in /proc; libc uses 32 and 33 itself. */
static void print_signals(const char *name)
{
	char line[200];
	FILE *status = fopen("/proc/self/status", "re");

	while (status && fgets(line, sizeof(line), status))
		if (strncmp(line, name, strlen(name)) == 0)
			printf(",\"%s\":%llu", name, strtoull(line + strlen(name) + 1, NULL, 16) & 0x7fffffff);
	if (status)
		fclose(status);
}

/* Prints what it inherited: descriptors, signals, directory, environment. */
static int verb_surroundings(void)
{
	char directory[200];
	int above = 0, variables = 0;
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;

	while ((entry = readdir(dir)))
		above += atoi(entry->d_name) > 2 && atoi(entry->d_name) != dirfd(dir);
	closedir(dir);
	for (char **e = environ; *e; e++)
		variables += strncmp(*e, "VMMIGRATE_", 10) != 0;
	printf("{\"api\":1,\"descriptors\":%d,\"variables\":%d,\"directory\":\"%s\",\"leader\":%s", above, variables,
	       getcwd(directory, sizeof(directory)), getsid(0) == getpid() ? "true" : "false");
	print_signals("SigBlk");
	print_signals("SigIgn");
	puts("}");
	return 0;
}

static int verb_deaf(void)
{
	close(STDIN_FILENO);
	return say("{\"api\":1}", 0);
}

static int verb_hangs_up(void)
{
	close(STDIN_FILENO);
	close(STDOUT_FILENO);
	usleep(100000);
	return 5;
}

static int verb_floods(void)
{
	static char block[65536];

	memset(block, 'x', sizeof(block));
	for (int i = 0; i < 1024; i++)
		fwrite(block, sizeof(block), 1, stdout);
	return 0;
}

static int verb_dies(void)
{
	fputs("first line\nlast \x1b[31m line\n\n", stderr);
	raise(SIGKILL);
	return 0;
}

/* Leaves a process behind that holds its stdout open. */
static int verb_lingers(void)
{
	say("{\"api\":1,\"lingers\":true}", 0);
	fflush(stdout);
	if (fork() == 0) {
		sleep(8);
		_exit(0);
	}
	return 0;
}

static int verb_follow(void)
{
	read_request();
	printf("{\"seq\":1,\"request\":%s}\n{\"seq\":2}\n{\"se", request);
	fflush(stdout);
	usleep(150000);
	printf("q\":3}\nnot an event\n\n{\"seq\":4}\n");
	fflush(stdout);
	if (strstr(request, "endless"))
		pause();
	return 0;
}

int main(int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "";

	if (strcmp(verb, "echo") == 0)
		return verb_echo();
	if (strcmp(verb, "surroundings") == 0)
		return verb_surroundings();
	if (strcmp(verb, "refuses") == 0)
		return say("{\"api\":1,\"more\":{\"exit\":7},\"error\":{\"code\":\"busy\",\"exit\":6}}", 6);
	if (strcmp(verb, "contradicts") == 0)
		return say("{\"api\":1,\"error\":{\"code\":\"busy\",\"exit\":6}}", 0);
	if (strcmp(verb, "garbage") == 0)
		return say("{\"api\":1,]", 0);
	if (strcmp(verb, "says-nothing") == 0)
		return 0;
	if (strcmp(verb, "deaf") == 0)
		return verb_deaf();
	if (strcmp(verb, "hangs-up") == 0)
		return verb_hangs_up();
	if (strcmp(verb, "floods") == 0)
		return verb_floods();
	if (strcmp(verb, "dies") == 0)
		return verb_dies();
	if (strcmp(verb, "lingers") == 0)
		return verb_lingers();
	if (strcmp(verb, "follow") == 0)
		return verb_follow();
	return say("{\"api\":1,\"error\":{\"code\":\"not-supported\",\"exit\":1}}", 1);
}
