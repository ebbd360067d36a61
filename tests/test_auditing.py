"""Labels that are wrong are found, and labels that attack move a model by no more than stated."""

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from model.agreement import alpha, kappa
from model.decision import Label, LabelledExample, Provenance, WordOf
from model.features import Spec
from model.memory import Sketch
from model.outcome import Head
from model.teaching import Candidate, most_telling
from training.auditing import audited
from training.examples import read_examples
from training.label_report import label_report
from training.recipes import Recipe
from training.resolving import resolved

TEXTS = Path(__file__).parent.parent / "training" / "texts"
SMALL = Recipe(name="small", spec=Spec(bits=14))
PEOPLE = ("ann", "bob", "cem", "dao", "eve")
