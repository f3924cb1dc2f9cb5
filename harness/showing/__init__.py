"""How records are shown: pictures, answers to questions, pages."""
