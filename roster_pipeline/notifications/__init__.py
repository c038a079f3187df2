"""The roster e-mail and the alerts: content, layout and sending. `mail_page.render(report)` makes a `Mail`;
`smtp.mailer_from(MailServer.read(), folder).send(...)` sends it. This package reads no table."""
