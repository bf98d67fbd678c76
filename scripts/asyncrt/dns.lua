--- Names and addresses of hosts.
return require("asyncrt.core.dns")
