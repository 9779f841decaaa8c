/* A descriptor that another process sends through a socket (SCM_RIGHTS) and closes. */
#include "case.h"
#include <sys/socket.h>

union control {
	struct cmsghdr head;
	char room[CMSG_SPACE(sizeof(int))];
};

static void send_descriptor(int socket, int fd)
{
	union control control = { .head = { CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS } };
	struct iovec byte = { "x", 1 };
	struct msghdr message = { .msg_iov = &byte, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };

	memcpy(CMSG_DATA(&control.head), &fd, sizeof(fd));
	CHECK(sendmsg(socket, &message, 0) == 1);
	CHECK(!close(fd));
}

static int receive_descriptor(int socket)
{
	union control control;
	char byte;
	struct iovec bytes = { &byte, 1 };
	struct msghdr message = { .msg_iov = &bytes, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
	int fd;

	CHECK(recvmsg(socket, &message, 0) == 1);
	memcpy(&fd, CMSG_DATA(&control.head), sizeof(fd));
	return fd;
}

int main(void)
{
	int ends[2];
	char buffer[100];

	make_file("data", 10000);
	CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
	pid_t child = fork();
	if (!child) {
		send_descriptor(ends[1], open_file("data", O_RDONLY));
		return 0;
	}
	CHECK(waitpid(child, NULL, 0) == child);
	int fd = receive_descriptor(ends[0]);
	long result = outcome(syscall(SYS_read, fd, buffer, 100));
	expect("read", "read", "%s,%s,\"fd\":%d,\"offset\":0,\"size\":100,\"result\":%ld", path("data"), identity_of(fd), fd, result);
	return 0;
}
