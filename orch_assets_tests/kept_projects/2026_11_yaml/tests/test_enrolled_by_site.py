"""A pipeline is a function: call it with a table, look at what it returns."""

import logging

import pandas as pd
from my_trials.pipelines.enrolled_by_site import enrolled_by_site


def test_counts_the_enrolled_subjects_of_each_site():
    subjects = pd.DataFrame(
        {
            "site_name": ["Basel", "Basel", "Lyon", "Lyon"],
            "subject_status": ["Enrolled", "Enrolled", "Enrolled", "Screened"],
        }
    )
    table = enrolled_by_site("MADE-UP-1", None, logging.getLogger("test"), subjects)
    assert table.to_dict("records") == [
        {"site_name": "Basel", "subjects": 2},
        {"site_name": "Lyon", "subjects": 1},
    ]
