#!/bin/sh
# Makes the certificates of the tests in a folder: an authority, an intermediate
# one, and what both have signed.
#
#   tests/tls/certificates.sh FOLDER
set -eu
cd "$1"

key() {
  openssl ecparam -name prime256v1 -genkey -noout -out "$1.key"
}

# root NAME SUBJECT: one that signs itself.
root() {
  key "$1"
  openssl req -x509 -new -key "$1.key" -out "$1.pem" -days 3650 -subj "/CN=$2" \
    -addext 'basicConstraints=critical,CA:TRUE' \
    -addext 'keyUsage=critical,keyCertSign,cRLSign'
}

# signed NAME AUTHORITY SUBJECT EXTENSIONS [openssl option...]
signed() {
  name=$1 authority=$2
  key "$name"
  openssl req -new -key "$name.key" -subj "/CN=$3" -out "$name.csr"
  printf '%b\n' "$4" >"$name.ext"
  shift 4
  [ $# -gt 0 ] || set -- -days 3650
  openssl x509 -req -in "$name.csr" -CA "$authority.pem" \
    -CAkey "$authority.key" -CAcreateserial -extfile "$name.ext" \
    -out "$name.pem" "$@"
}

{
  root ca 'Test Authority'
  root other 'Other Authority'
  signed middle ca 'Middle Authority' \
    'basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign'
  signed server ca server \
    'subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1,DNS:server.test'
  signed renewed ca renewed 'subjectAltName=DNS:localhost,IP:127.0.0.1'
  signed wild ca wild 'subjectAltName=DNS:*.wild.test'
  signed named ca named 'subjectAltName=DNS:named.test'
  signed nameless ca localhost 'extendedKeyUsage=serverAuth'
  signed client ca 'A Client' \
    'extendedKeyUsage=clientAuth\nsubjectAltName=email:me@client.test'
  signed stranger other Stranger 'extendedKeyUsage=clientAuth'
  signed below middle below 'subjectAltName=DNS:localhost'
  signed expired ca expired 'subjectAltName=DNS:localhost' -days -1
  cat below.pem middle.pem >chain.pem
  key self
  openssl req -x509 -new -key self.key -out self.pem -days 3650 \
    -subj '/CN=localhost' -addext 'subjectAltName=DNS:localhost'
  openssl ec -in server.key -aes128 -passout pass:secret -out locked.key
} 2>openssl.log || {
  cat openssl.log >&2
  exit 1
}
