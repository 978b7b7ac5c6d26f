"""The pages people look at: Streamlit over the same queries as the API; reads only, as the role ci_api.

What belongs here: pages, figures, words for when there is nothing. What does not: SQL (serving/queries). Text from
outside is shown in tables and as plain text, never as Markdown or HTML.
"""
