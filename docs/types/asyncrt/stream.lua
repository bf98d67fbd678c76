---@meta
-- luacheck: ignore 212 241

--- Bytes in both directions. Results of failures are nil, message, code; nil
--- alone is the end of the stream.
---@class asyncrt.Stream
local Stream = {}

---@class asyncrt.LimitOptions
---@field max number? bytes; math.huge is no limit

---@class asyncrt.StreamTimeouts
---@field read number? seconds for each read
---@field write number? seconds for each write, flush and shutdown
---@field idle number? seconds without a byte while something waits

--- [wait] What there is, at most `n` bytes.
---@param n integer? 65536 by default
---@return string? bytes
---@return string? message
---@return string? code
function Stream:read(n) end

--- [wait] Exactly `n` bytes.
---@param n integer
---@return string? bytes
---@return string? message
---@return string? code "EOF" where the stream ends before
---@return string? partial the bytes there were
function Stream:read_exact(n) end

--- [wait] A line, without its "\n" or "\r\n".
---@param options asyncrt.LimitOptions? max is 65536 by default
---@return string? line
---@return string? message
---@return string? code "ELIMIT" for a longer line
function Stream:read_line(options) end

--- [wait] The bytes up to and with `delimiter`.
---@param delimiter string
---@param options asyncrt.LimitOptions? max is 65536 by default
---@return string? bytes
---@return string? message
---@return string? code
---@return string? partial
function Stream:read_until(delimiter, options) end

--- [wait] All until the end.
---@param options asyncrt.LimitOptions? max is 16 MiB by default
---@return string? bytes
---@return string? message
---@return string? code
function Stream:read_all(options) end

--- [wait] Puts what there is into a buffer, in place of what was in it.
---@param buffer asyncrt.Buffer
---@return integer? bytes
---@return string? message
---@return string? code
function Stream:read_into(buffer) end

--- [wait] The next `n` bytes, which stay unread.
---@param n integer? 1 by default
---@return string? bytes
---@return string? message
---@return string? code
function Stream:peek(n) end

---@param n integer?
---@return asyncrt.Event
function Stream:read_evt(n) end

---@param n integer
---@return asyncrt.Event
function Stream:read_exact_evt(n) end

---@param options asyncrt.LimitOptions?
---@return asyncrt.Event
function Stream:read_line_evt(options) end

---@param delimiter string
---@param options asyncrt.LimitOptions?
---@return asyncrt.Event
function Stream:read_until_evt(delimiter, options) end

---@param options asyncrt.LimitOptions?
---@return asyncrt.Event
function Stream:read_all_evt(options) end

---@param n integer?
---@return asyncrt.Event
function Stream:peek_evt(n) end

--- Reads until the end; a failure raises. Each step is a [wait].
---@param n integer?
---@return fun(): string?
function Stream:chunks(n) end

--- Reads lines until the end; a failure raises. Each step is a [wait].
---@param options asyncrt.LimitOptions?
---@return fun(): string?
function Stream:lines(options) end

--- [wait] Accepts all of `data`; waits while 64 KiB are queued.
---@param data string|string[]|asyncrt.Buffer
---@return true? accepted
---@return string? message
---@return string? code
function Stream:write(data) end

---@param data string|string[]|asyncrt.Buffer
---@return asyncrt.Event
function Stream:write_evt(data) end

--- [wait] Waits until what was written has been sent.
---@return true? sent
---@return string? message
---@return string? code
function Stream:flush() end

---@return asyncrt.Event
function Stream:flush_evt() end

--- [wait] Flushes, then tells the other side that nothing more will come.
---@return true? done
---@return string? message
---@return string? code
function Stream:shutdown() end

--- Closes both directions; what was written is sent in the background. Never
--- waits.
---@return true
function Stream:close() end

--- Closes and drops what was not sent. Never waits.
---@return true
function Stream:reset() end

---@return boolean
function Stream:is_closed() end

--- [wait] Goes on with TLS, as the client.
---@param options true|asyncrt.tls.Context|asyncrt.tls.ClientOptions
---@return asyncrt.Stream? conn the same
---@return string? message
---@return string? code
function Stream:starttls(options) end

--- [wait] Waits until the two sides of a connection with TLS have agreed.
---@return true? done at once where there is no TLS
---@return string? message
---@return string? code
function Stream:handshake() end

--- What the two sides have agreed on; nil before that, and without TLS.
---@return asyncrt.tls.Info? info
---@return string? message
---@return string? code
function Stream:tls_info() end

--- Whether it is a terminal.
---@return boolean
function Stream:is_tty() end

--- The size of a terminal, which may change; 0 where it is not known.
---@return integer? columns
---@return integer|string rows or the message
---@return string? code "ENOTTY" where it is no terminal
function Stream:window_size() end

---@param limits asyncrt.StreamTimeouts math.huge takes a limit away
---@return true? done
---@return string? message
---@return string? code
function Stream:timeouts(limits) end

--- The address of this side.
---@return string? address
---@return string? message
---@return string? code
function Stream:address() end

--- The address of the other side.
---@return string? address
---@return string? message
---@return string? code
function Stream:peer() end

---@param on boolean? true by default
---@return true? done
---@return string? message
---@return string? code
function Stream:nodelay(on) end

---@param seconds number|false
---@return true? done
---@return string? message
---@return string? code
function Stream:keepalive(seconds) end
