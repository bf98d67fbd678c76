from echo_tests import LOST, EchoTests
from example import TestCase


class Echo(EchoTests, TestCase):
    script = "echo.lua"
    reset_line = LOST
