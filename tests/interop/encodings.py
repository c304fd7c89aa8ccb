"""Carries texts between its test and Juju: databag, secret and results of an action."""

import ops

import report


def attempt(write):
    """Nothing, or why it could not be written."""
    try:
        write()
    except Exception as error:  # whatever it is, it is the answer
        return f"{type(error).__name__}: {error}"


class Encodings(ops.CharmBase):
    """Writes what it is given, or reports what it reads."""

    def __init__(self, framework):
        super().__init__(framework)
        framework.observe(self.on.config_changed, self._on_config_changed)
        framework.observe(self.on.update_status, self._on_update_status)
        framework.observe(self.on.echo_action, self._on_echo)

    def _on_config_changed(self, _):
        """Writes each text alone, so that one which cannot be written takes no other with it."""
        problems = {}
        relation = self.model.relations["peer"][0]
        for name, text in report.given().items():
            bag = relation.data[self.unit]
            problems[name] = {
                "value": attempt(lambda: bag.update({name: text})),
                "key": attempt(lambda: bag.update({text: "key"})) if 0 < len(text) < 1000 else None,
                "secret": attempt(lambda: self.unit.add_secret({"text": text}, label=name)) if text else None,
            }
        report.write(problems)

    def _on_update_status(self, _):
        relation = self.model.relations["peer"][0]
        report.write({
            "bag": dict(relation.data[self.unit]),
            "secrets": {name: self.model.get_secret(label=name).peek_content()["text"] for name in report.given()},
        })

    def _on_echo(self, event):
        event.set_results(event.params)
        report.write(event.params)


if __name__ == "__main__":
    ops.main(Encodings)
