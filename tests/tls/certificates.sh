#!/bin/sh
# Makes the certificates of the tests in a folder: an authority, an intermediate
# one, and what both have signed.
#
#   tests/tls/certificates.sh FOLDER
set -eu
cd "$1"

# certificate NAME SUBJECT EXTENSION [openssl option...]
certificate() {
  name=$1 subject=$2 extension=$3
  shift 3
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
    -keyout "$name.key" -out "$name.pem" -subj "/CN=$subject" \
    -addext "$extension" -days 3650 "$@"
}

# signed NAME AUTHORITY SUBJECT EXTENSION [openssl option...]
signed() {
  name=$1 authority=$2 subject=$3 extension=$4
  shift 4
  certificate "$name" "$subject" "$extension" \
    -addext basicConstraints=critical,CA:FALSE \
    -CA "$authority.pem" -CAkey "$authority.key" "$@"
}

{
  certificate ca 'Test Authority' keyUsage=critical,keyCertSign
  certificate other 'Other Authority' keyUsage=critical,keyCertSign
  certificate middle 'Middle Authority' keyUsage=critical,keyCertSign \
    -CA ca.pem -CAkey ca.key
  certificate self localhost subjectAltName=DNS:localhost
  signed server ca server \
    'subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1,DNS:server.test'
  signed renewed ca renewed subjectAltName=DNS:localhost,IP:127.0.0.1
  signed wild ca wild 'subjectAltName=DNS:*.wild.test'
  signed named ca named subjectAltName=DNS:named.test
  signed nameless ca localhost extendedKeyUsage=serverAuth
  openssl req -new -key server.key -subj /CN=expired -out expired.csr
  echo subjectAltName=DNS:localhost >expired.ext
  openssl x509 -req -in expired.csr -CA ca.pem -CAkey ca.key -CAcreateserial \
    -extfile expired.ext -days -1 -out expired.pem
  cp server.key expired.key
  signed client ca 'A Client' \
    'subjectAltName=email:me@client.test,URI:urn:client'
  signed stranger other Stranger extendedKeyUsage=clientAuth
  signed below middle below subjectAltName=DNS:localhost
  cat below.pem middle.pem >chain.pem
  cp below.key chain.key
  openssl ec -in server.key -aes128 -passout pass:secret -out locked.key
} 2>openssl.log || {
  cat openssl.log >&2
  exit 1
}
