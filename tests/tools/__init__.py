"""Programs for developers that need the tests' libraries; none is part of the product."""
