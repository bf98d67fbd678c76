/* TLS: certificates and keys out of PEM, a text or a file. */
#include "tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>

#define LARGEST_FILE (16l << 20)
#define PRIVATE_KEY "PRIVATE KEY-----" /* what its first line ends with */

static void fail(tls_failure *failure, const char *what, const char *source,
                 const char *reason, const char *code) {
  if (tls_lacks_memory()) {
    reason = uv_strerror(UV_ENOMEM);
    code = "ENOMEM";
  }
  if (strstr(source, "-----BEGIN") != NULL)
    snprintf(failure->message, sizeof(failure->message), "tls %s: %s", what,
             reason);
  else
    snprintf(failure->message, sizeof(failure->message), "tls %s %s: %s", what,
             source, reason);
  snprintf(failure->code, sizeof(failure->code), "%s", code);
}

static void fail_file(tls_failure *failure, const char *what,
                      const char *source, int error) {
  char code[32];

  uv_err_name_r(error, code, sizeof(code));
  fail(failure, what, source, uv_strerror(error), code);
}

/* Reads a whole file into a BIO; UV_E* where that fails. */
static int read_file(const char *path, BIO *bio) {
  FILE *file = fopen(path, "re");
  char part[4096];
  size_t size, total = 0;
  int error = 0;

  if (file == NULL) return uv_translate_sys_error(errno);
  while (error == 0 && (size = fread(part, 1, sizeof(part), file)) > 0) {
    total += size;
    if (total > LARGEST_FILE)
      error = UV_EFBIG;
    else if (BIO_write(bio, part, (int) size) != (int) size)
      error = UV_ENOMEM;
  }
  if (error == 0 && ferror(file)) error = uv_translate_sys_error(errno);
  fclose(file);
  return error;
}

static BIO *open_source(const char *what, const char *source,
                        tls_failure *failure) {
  BIO *bio;
  int error;

  if (strstr(source, "-----BEGIN") != NULL) {
    bio = BIO_new_mem_buf(source, -1);
    error = UV_ENOMEM;
  } else {
    bio = BIO_new(BIO_s_mem());
    error = bio != NULL ? read_file(source, bio) : UV_ENOMEM;
    if (error != 0) {
      BIO_free(bio);
      bio = NULL;
    }
  }
  if (bio == NULL) fail_file(failure, what, source, error);
  return bio;
}

/* Never asks the terminal. */
static int give_password(char *text, int size, int writing, void *password) {
  size_t length = password != NULL ? strlen(password) : 0;

  (void) writing;
  if (length == 0 || length >= (size_t) size) return -1;
  memcpy(text, password, length + 1);
  return (int) length;
}

static STACK_OF(X509) * read_all(BIO *bio) {
  STACK_OF(X509) *all = sk_X509_new_null();
  X509 *one = NULL;

  if (all == NULL) return NULL;
  while ((one = PEM_read_bio_X509(bio, NULL, give_password, NULL)) != NULL)
    if (sk_X509_push(all, one) == 0) {
      X509_free(one);
      break;
    }
  /* What ends it should be that there is no more. */
  if (one == NULL &&
      ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE) {
    ERR_clear_error();
    return all;
  }
  sk_X509_pop_free(all, X509_free);
  return NULL;
}

STACK_OF(X509) * tls_read_certificates(const char *what, const char *source,
                                       tls_failure *failure) {
  BIO *bio = open_source(what, source, failure);
  STACK_OF(X509) * all;

  if (bio == NULL) return NULL;
  all = read_all(bio);
  BIO_free(bio);
  if (all != NULL && sk_X509_num(all) > 0) return all;
  fail(failure, what, source,
       all == NULL ? "a certificate is malformed" : "no certificate in it",
       "ECERT");
  sk_X509_pop_free(all, X509_free);
  return NULL;
}

static EVP_PKEY *read_key(const char *source, const char *password,
                          tls_failure *failure) {
  BIO *bio = open_source("key", source, failure);
  const char *reason = "no private key in it";
  EVP_PKEY *key;
  char *text;
  long size;

  if (bio == NULL) return NULL;
  size = BIO_get_mem_data(bio, &text);
  if (memmem(text, (size_t) size, PRIVATE_KEY, strlen(PRIVATE_KEY)) != NULL)
    reason = password == NULL ? "malformed, or it needs a password"
                              : "malformed, or the password is wrong";
  key = PEM_read_bio_PrivateKey(bio, NULL, give_password,
                                (void *) (uintptr_t) password);
  BIO_free(bio);
  if (key == NULL) fail(failure, "key", source, reason, "EKEY");
  return key;
}

bool tls_read_identity(tls_identity *identity, const char *certificate,
                       const char *key, const char *password,
                       tls_failure *failure) {
  if (key == NULL) key = certificate;
  identity->chain = tls_read_certificates("cert", certificate, failure);
  if (identity->chain == NULL) return false;
  identity->certificate = sk_X509_shift(identity->chain);
  identity->key = read_key(key, password, failure);
  if (identity->key == NULL) return false;
  if (X509_check_private_key(identity->certificate, identity->key) == 1)
    return true;
  fail(failure, "key", key, "it is not the key of the certificate", "EKEY");
  return false;
}

void tls_identity_clear(tls_identity *identity) {
  X509_free(identity->certificate);
  sk_X509_pop_free(identity->chain, X509_free);
  EVP_PKEY_free(identity->key);
  memset(identity, 0, sizeof(*identity));
}
