---@meta asyncrt.tls
-- luacheck: ignore 212 241

--- A certificate and its key are PEM text, or the path of a file of it.
---@class asyncrt.tls.Options
---@field cert string? this side's certificate, then those above it
---@field key string? its key; by default in `cert` too
---@field password string? of the key
---@field ca string? whom a client trusts; the system's authorities by default
---@field verify boolean? whether a client verifies the server; true by default
---@field client_ca string? whom a server trusts
---@field verify_client (boolean|"optional")? true where there is a `client_ca`
---@field sni table<string, {cert: string, key: string?, password: string?}>?
---  other certificates, by host name or "*.name"
---@field alpn string[]? application protocols, the preferred one first
---@field min_version ("1.2"|"1.3")? "1.2" by default
---@field max_version ("1.2"|"1.3")?
---@field handshake_timeout number? seconds, 10 by default
---@field max_handshakes integer? unfinished ones of a server; 1000 by default

---@class asyncrt.tls.ClientOptions: asyncrt.tls.Options
---@field server_name string? whom the certificate must be for
---@field context asyncrt.tls.Context? in the place of the options of one

--- What connections are made with.
---@class asyncrt.tls.Context
local Context = {}

--- Reads everything anew, for connections that begin from now on.
---@param options asyncrt.tls.Options? in the place of those before
---@return true? done
---@return string? message
---@return string? code
function Context:reload(options) end

---@class asyncrt.tls.Certificate
---@field subject string as in RFC 2253
---@field issuer string
---@field names string[] "DNS:example.org", "IP:127.0.0.1", "email:", "URI:"
---@field fingerprint string SHA-256, in hexadecimal digits
---@field not_before integer seconds since 1970
---@field not_after integer

---@class asyncrt.tls.Info
---@field version string "TLSv1.3"
---@field cipher string
---@field alpn string? the protocol that was agreed on
---@field server_name string? that the client asked for
---@field peer asyncrt.tls.Certificate? of the other side
---@field verified boolean the peer's certificate is good
---@field resumed boolean an earlier session goes on

---@class asyncrt.tls
local tls = {}

--- Reads files without giving way.
---@param options asyncrt.tls.Options?
---@return asyncrt.tls.Context? context
---@return string? message
---@return string? code
function tls.context(options) end

--- [wait] Makes a connection one with TLS, in its place, as the client.
---@param conn asyncrt.Stream
---@param options true|asyncrt.tls.Context|asyncrt.tls.ClientOptions
---@return asyncrt.Stream? conn the same
---@return string? message
---@return string? code
function tls.client(conn, options) end

--- [wait] The same as the server.
---@param conn asyncrt.Stream
---@param options asyncrt.tls.Context|asyncrt.tls.Options
---@return asyncrt.Stream? conn the same
---@return string? message
---@return string? code
function tls.server(conn, options) end

--- Makes every connection that a listener accepts from now on one with TLS.
---@param listener asyncrt.Listener
---@param options asyncrt.tls.Context|asyncrt.tls.Options
---@return asyncrt.Listener? listener the same
---@return string? message
---@return string? code
function tls.listener(listener, options) end

return tls
