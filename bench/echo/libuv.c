/* An echo server of libuv callbacks: writes at once, queues what is left. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

struct unsent {
  uv_write_t request; /* first: a request is its bytes */
  char bytes[];
};

static char buffer[65536]; /* shared: it is empty again after each read */

static void on_close(uv_handle_t *handle) {
  free(handle);
}

static void drop(uv_stream_t *stream) {
  if (!uv_is_closing((uv_handle_t *) stream)) {
    uv_close((uv_handle_t *) stream, on_close);
  }
}

static void on_shutdown(uv_shutdown_t *request, int status) {
  (void) status;
  drop(request->handle);
  free(request);
}

/* Closes after the bytes that are queued. */
static void finish(uv_stream_t *stream) {
  uv_shutdown_t *request = malloc(sizeof(*request));

  if (request == NULL) abort();
  if (uv_shutdown(request, stream, on_shutdown) != 0) {
    free(request);
    drop(stream);
  }
}

static void on_written(uv_write_t *request, int status) {
  (void) status;
  free(request);
}

static void on_alloc(uv_handle_t *handle, size_t size, uv_buf_t *result) {
  (void) handle;
  (void) size;
  *result = uv_buf_init(buffer, sizeof(buffer));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *data) {
  uv_buf_t rest;
  struct unsent *unsent;
  int sent;

  if (n == UV_EOF)
    finish(stream);
  else if (n < 0)
    drop(stream);
  if (n <= 0) return;
  rest = uv_buf_init(data->base, (unsigned) n);
  sent = uv_try_write(stream, &rest, 1);
  if (sent == n) return;
  if (sent < 0 && sent != UV_EAGAIN) {
    drop(stream);
    return;
  }
  if (sent < 0) sent = 0;
  rest.len = (size_t) (n - sent);
  unsent = malloc(sizeof(*unsent) + rest.len);
  if (unsent == NULL) abort();
  rest.base = memcpy(unsent->bytes, data->base + sent, rest.len);
  if (uv_write(&unsent->request, stream, &rest, 1, on_written) != 0) {
    free(unsent);
    drop(stream);
  }
}

static void on_connection(uv_stream_t *listener, int status) {
  uv_tcp_t *tcp;

  if (status != 0) return;
  tcp = malloc(sizeof(*tcp));
  if (tcp == NULL) abort();
  uv_tcp_init(listener->loop, tcp);
  if (uv_accept(listener, (uv_stream_t *) tcp) != 0) {
    drop((uv_stream_t *) tcp);
    return;
  }
  uv_tcp_nodelay(tcp, 1);
  uv_read_start((uv_stream_t *) tcp, on_alloc, on_read);
}

int main(int argc, char **argv) {
  uv_loop_t *loop = uv_default_loop();
  struct sockaddr_in address;
  uv_tcp_t listener;

  signal(SIGPIPE, SIG_IGN);
  uv_ip4_addr("127.0.0.1", argc > 1 ? atoi(argv[1]) : 0, &address);
  uv_tcp_init(loop, &listener);
  if (uv_tcp_bind(&listener, (struct sockaddr *) &address, 0) != 0 ||
      uv_listen((uv_stream_t *) &listener, 1024, on_connection) != 0) {
    return 1;
  }
  return uv_run(loop, UV_RUN_DEFAULT);
}
