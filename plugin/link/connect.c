/* connect.c: TCP connections to a node. Each way to fail has an error code of its own. */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "link.h"

const char *ssh_peer_address(const struct ssh_peer *peer)
{
	return peer->address ? peer->address : peer->name;
}

static int unresolved(const struct ssh_peer *peer, int why, struct vmm_error **err)
{
	error_set(err, VMM_BLOCKED, "name-unresolved", "%s: the name %s has no address: %s", peer->name,
		  ssh_peer_address(peer), gai_strerror(why));
	return error_hint(err, "set address in [node %s] of /etc/vmmigrate/vmmigrate.conf, or add %s to /etc/hosts",
			  peer->name, ssh_peer_address(peer));
}

static int refused(const struct ssh_peer *peer, int number, struct vmm_error **err)
{
	const char *address = ssh_peer_address(peer);
	int port = peer->port ? peer->port : 22;
	switch (number) {
	case ECONNREFUSED:
		error_set(err, VMM_BLOCKED, "connection-refused", "%s: nothing listens on %s port %d", peer->name,
			  address, port);
		return error_hint(
			err, "start sshd on %s: systemctl start ssh; if it uses another port, set port in [node %s]",
			peer->name, peer->name);
	case ETIMEDOUT:
		error_set(err, VMM_BLOCKED, "connection-timeout", "%s: %s port %d does not answer", peer->name, address,
			  port);
		return error_hint(err, "is %s up? ping %s; does a firewall drop TCP port %d?", peer->name, address,
				  port);
	default:
		error_set(err, VMM_BLOCKED, "no-route", "%s: no route to %s port %d: %s", peer->name, address, port,
			  strerror(number));
		return error_hint(err, "check the addresses and routes of this node: ip route get %s", address);
	}
}

/* Connects to one address, until the time `until` at the latest; returns the descriptor, or -1 with errno. */
static int connect_one(const struct addrinfo *to, int64_t until)
{
	int fd = socket(to->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, to->ai_protocol);
	if (fd < 0)
		return -1;
	int number = connect(fd, to->ai_addr, to->ai_addrlen) < 0 ? errno : 0;
	while (number == EINPROGRESS || number == EINTR) {
		int64_t left = until - clock_steady_ms();
		struct pollfd p = {.fd = fd, .events = POLLOUT};
		socklen_t size = sizeof(number);
		if (left <= 0)
			number = ETIMEDOUT;
		else if (poll(&p, 1, left > 60000 ? 60000 : (int)left) > 0)
			getsockopt(fd, SOL_SOCKET, SO_ERROR, &number, &size);
	}
	if (!number)
		return fd;
	close(fd);
	errno = number;
	return -1;
}

void link_tune(int fd)
{
	const int on = 1, idle = FRAME_SILENCE_MS / 3000, between = FRAME_SILENCE_MS / 6000, tries = 4;
	const unsigned int unanswered = FRAME_SILENCE_MS;
	const struct timeval stuck = {.tv_sec = FRAME_SILENCE_MS / 1000};
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &between, sizeof(between));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &tries, sizeof(tries));
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unanswered, sizeof(unanswered));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &stuck, sizeof(stuck));
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
}

int link_connect(const struct ssh_peer *peer, int64_t until_ms, struct vmm_error **err)
{
	const struct addrinfo want = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
	struct addrinfo *found = NULL;
	char port[16];
	snprintf(port, sizeof(port), "%d", peer->port ? peer->port : 22);
	int why = getaddrinfo(ssh_peer_address(peer), port, &want, &found);
	if (why)
		return unresolved(peer, why, err);
	int fd = -1, number = EHOSTUNREACH;
	for (const struct addrinfo *to = found; to && fd < 0; to = to->ai_next) {
		fd = connect_one(to, until_ms);
		if (fd < 0)
			number = errno;
	}
	freeaddrinfo(found);
	if (fd < 0)
		return refused(peer, number, err);
	link_tune(fd);
	return fd;
}
