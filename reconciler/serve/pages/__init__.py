"""What people see of the node itself in a browser: forms that work without a script.

    /                     what is here for who is signed in (`front`)
    /_atek/setup?code=…   makes the first person (`setup`)
    /_atek/login          signs in, and goes on to where somebody wanted to be (`login`)
    /_atek/logout         signs out, at every host (`logout`)
    /_atek/style.css      how they look

`page` makes all of them: text is escaped there and nowhere else, nothing is inline, nobody frames them. The
router lets no page of another site send a form here. Imports `http`, `people`, and the router's cookies.
"""
