--- The certificates that tests/tls/certificates.sh makes, in a folder of this
--- run.
local certificates = {}

local folder = os.tmpname()
os.remove(folder)
local here = debug.getinfo(1, "S").source:match("^@(.*/)")
local script = here .. "../tls/certificates.sh"
assert(os.execute(("mkdir -p '%s' && '%s' '%s'"):format(folder, script, folder)))

-- Removed at the end of the run.
certificates.folder = setmetatable({}, {
  __gc = function() os.execute(("rm -r '%s'"):format(folder)) end,
})

--- The path of a file of them.
function certificates.path(name)
  return folder .. "/" .. name
end

--- Whom `name` stands for, as options: a certificate and its key.
function certificates.of(name, options)
  options = options or {}
  options.cert = certificates.path(name .. ".pem")
  options.key = certificates.path(name .. ".key")
  return options
end

--- Whom a client trusts, as options.
function certificates.trusting(name, options)
  options = options or {}
  options.ca = certificates.path(name .. ".pem")
  return options
end

return certificates
