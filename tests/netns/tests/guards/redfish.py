"""A management controller as DMTF's Redfish (DSP0266) describes it, for tests of fencing: two systems, their
power state, and the action Reset. Each request is a line of the file `requests` in the folder named by the
first argument. A system is off when the file NODE.off is there; who plays the power supply is asked by
NODE.wanted, which holds the last ResetType. It serves at the address and port of the next two arguments."""

import base64
import http.server
import json
import os
import ssl
import sys

FOLDER, ADDRESS, PORT = sys.argv[1], sys.argv[2], int(sys.argv[3])
ROOT = "/redfish/v1"
LOGIN = "Basic " + base64.b64encode(b"operator:hush-hush").decode()
ACTION = "/Actions/ComputerSystem.Reset"


def place(name):
    return os.path.join(FOLDER, name)


def system(node):
    kinds = ["On", "ForceOff", "GracefulShutdown", "ForceRestart"]
    uri = f"{ROOT}/Systems/{node}"
    reset = {"target": uri + ACTION, "ResetType@Redfish.AllowableValues": kinds}
    state = "Off" if os.path.exists(place(node + ".off")) else "On"
    return {"@odata.id": uri, "Id": node, "PowerState": state, "Actions": {"#ComputerSystem.Reset": reset}}


class Controller(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, code, body=None):
        data = b"" if body is None else json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def begin(self):
        """What was sent along; None when the answer was given already."""
        text = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        with open(place("requests"), "a") as file:
            file.write(f"{self.command} {self.path} {text}\n")
        if self.headers.get("Authorization") != LOGIN:
            self.answer(401)
            return None
        return text

    def do_GET(self):
        if self.begin() is None:
            return
        path = self.path.rstrip("/")
        nodes = ["node1", "node2"]
        pages = {f"{ROOT}/Systems/{node}": system(node) for node in nodes}
        members = [{"@odata.id": uri} for uri in pages]
        pages[ROOT] = {"@odata.id": ROOT, "Systems": {"@odata.id": ROOT + "/Systems"}}
        pages[ROOT + "/Systems"] = {"Members": members, "Members@odata.count": len(members)}
        found = pages.get(path)
        self.answer(404 if found is None else 200, found)

    def do_POST(self):
        text = self.begin()
        if text is None:
            return
        node = self.path.removeprefix(ROOT + "/Systems/").removesuffix(ACTION)
        if "/" in node:
            return self.answer(404)
        with open(place(node + ".wanted.new"), "w") as file:
            file.write(json.loads(text)["ResetType"])
        os.rename(place(node + ".wanted.new"), place(node + ".wanted"))
        self.answer(204)

    def log_message(self, *words):
        pass


server = http.server.ThreadingHTTPServer((ADDRESS, PORT), Controller)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(place("certificate.pem"))
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
